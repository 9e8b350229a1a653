#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "harness/case/case.h"
#include "harness/run/progress.h"

namespace samebits {

// The full hash of the commit that an arm names. Throws InputError where there is none.
std::string commit_of(const CaseArm& arm);

// The commits of a case's arms, checked out and built in a folder of a run while this object lives.
class Checkouts {
 public:
  // In FOLDER/.checkouts/ARM; what a build prints stays in FOLDER/build-ARM.txt. Throws RunError
  // where a commit cannot be checked out, or its build fails: with its last lines.
  Checkouts(const Case& c, const std::filesystem::path& folder, Progress& progress);
  ~Checkouts();
  Checkouts(const Checkouts&) = delete;
  Checkouts& operator=(const Checkouts&) = delete;

  // The case, or one with the same arms, as it is run: its arms know where their commits lie.
  Case placed(Case c) const;

  // The full hash of what was checked out for an arm; "" where nothing was.
  std::string commit(const std::string& arm) const;

 private:
  void check_out(const CaseArm& arm, Progress& progress);
  std::filesystem::path checkout_of(const std::string& arm) const;

  std::filesystem::path folder_;
  std::map<std::string, std::string> commits_;  // by arm
};

}  // namespace samebits
