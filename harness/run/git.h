#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace samebits {

// What git, the program, says of a repository. It is asked, and never told to change the repository
// that it is asked about.
class Git {
 public:
  // `folder`: in the repository.
  explicit Git(std::filesystem::path folder) : folder_(std::move(folder)) {}

  struct Answer {
    bool is_good = false;
    std::string text;  // all that it printed, warnings too
  };
  // `git ARGUMENTS`. Throws RunError where no process can be made.
  Answer ask(const std::vector<std::string>& arguments) const;

  // The full hash of a revision's commit. Throws InputError that names `where` for a revision that
  // is none, and for a folder that lies in no repository.
  std::string commit_of(const std::string& revision, const std::string& where) const;

  // "8f3c2a1b9d0e scale the loss": a commit for a person.
  std::string title_of(const std::string& commit) const;

  // A copy of the files of a commit in `checkout`, a folder that is not there yet, with a repository
  // of its own that borrows the objects of this one. Throws RunError.
  void check_out(const std::string& commit, const std::filesystem::path& checkout) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace samebits
