#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/run/git.h"

namespace samebits {

// Which commit is the first bad one: halves what lies between good commits and a bad one, as
// `git bisect` does, and asks git alone for the order.
class CommitSearch {
 public:
  enum class Answer {
    kGood,
    kBad,
    kUnknown,  // it cannot be tried
  };

  // Full hashes; `good` is an ancestor of `bad`. Throws RunError where git does not answer.
  CommitSearch(Git git, std::string good, std::string bad);

  // The commit to try next, which cuts what is left into halves; nullopt: there is none.
  std::optional<std::string> next() const;

  // What came of a commit.
  void note(const std::string& commit, Answer answer);

  // The commits of which one is the first bad one: one, or that and those that cannot be tried.
  std::vector<std::string> suspects() const { return left_; }

  // How many are still to be told apart.
  size_t left() const { return left_.size(); }

 private:
  void ask();

  Git git_;
  std::vector<std::string> good_;
  std::string bad_;
  std::vector<std::string> unknown_;
  std::vector<std::string> left_;  // the bad one too, in git's order: the best to try first
};

}  // namespace samebits
