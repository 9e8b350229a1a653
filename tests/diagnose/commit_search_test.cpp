#include "harness/diagnose/commit_search.h"

#include <gmock/gmock.h>

#include <functional>
#include <map>
#include <set>

#include "harness/base/error.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using testing::Scratch;
using ::testing::UnorderedElementsAre;
using Answer = CommitSearch::Answer;

// A repository of empty commits, by their names.
class Commits : public Scratch {
 protected:
  void SetUp() override {
    Scratch::SetUp();
    git({"init", "-q"});
  }

  std::string git(const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"-c", "user.name=x", "-c", "user.email=x@x"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Git::Answer answer = Git(folder_).ask(all);
    EXPECT_TRUE(answer.is_good) << answer.text;
    return answer.text;
  }

  std::string add(const std::string& name) {
    git({"commit", "-q", "--allow-empty", "-m", name});
    const std::string hash = Git(folder_).commit_of("HEAD", "a test");
    names_[hash] = name;
    return hash;
  }

  // What is left when `rule` has answered all that was asked; `asked` has the names in order.
  std::vector<std::string> searched(const std::string& good, const std::string& bad,
                                    const std::function<Answer(const std::string&)>& rule) {
    CommitSearch search{Git(folder_), good, bad};
    asked_.clear();
    while (const auto next = search.next()) {
      asked_.push_back(names_.at(*next));
      search.note(*next, rule(names_.at(*next)));
    }
    std::vector<std::string> left;
    for (const std::string& each : search.suspects()) left.push_back(names_.at(each));
    return left;
  }

  std::map<std::string, std::string> names_;
  std::vector<std::string> asked_;
};

TEST_F(Commits, EachOfALineIsFoundInThreeOrFourTries) {
  std::vector<std::string> line;
  for (int i = 0; i < 10; ++i) line.push_back(add(std::to_string(i)));
  for (int moved = 1; moved < 10; ++moved) {
    const auto rule = [&](const std::string& name) {
      return std::stoi(name) >= moved ? Answer::kBad : Answer::kGood;
    };
    EXPECT_THAT(searched(line.front(), line.back(), rule), ElementsAre(std::to_string(moved)));
    EXPECT_LE(asked_.size(), 4u);
  }
}

TEST_F(Commits, NeighboursThatCannotBeTriedAreNotAsked) {
  const std::string first = add("0");
  EXPECT_THAT(searched(first, add("1"), [](const std::string&) { return Answer::kGood; }),
              ElementsAre("1"));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(Commits, WhatCannotBeTriedIsLeftWhereItMatters) {
  std::vector<std::string> line;
  for (int i = 0; i < 10; ++i) line.push_back(add(std::to_string(i)));
  const auto rule_with = [](int moved, const std::set<int>& broken) {
    return [=](const std::string& name) {
      const int number = std::stoi(name);
      if (broken.contains(number)) return Answer::kUnknown;
      return number >= moved ? Answer::kBad : Answer::kGood;
    };
  };
  EXPECT_THAT(searched(line.front(), line.back(), rule_with(6, {4})), ElementsAre("6"));
  EXPECT_THAT(searched(line.front(), line.back(), rule_with(6, {5})),
              UnorderedElementsAre("5", "6"));
  EXPECT_THAT(searched(line.front(), line.back(), rule_with(2, {1, 2, 3, 4, 5, 6, 7, 8})),
              UnorderedElementsAre("1", "2", "3", "4", "5", "6", "7", "8", "9"));
}

TEST_F(Commits, TheSideOfAMergeIsLookedInto) {
  const std::string base = add("base");
  git({"branch", "side"});
  add("main 1");
  add("main 2");
  git({"checkout", "-q", "side"});
  add("side 1");
  add("side 2");
  git({"checkout", "-q", "-"});
  git({"merge", "-q", "--no-ff", "-m", "merge", "side"});
  const std::string merge = Git(folder_).commit_of("HEAD", "a test");
  names_[merge] = "merge";
  const auto moved_on_the_side = [](const std::string& name) {
    return name == "side 2" || name == "merge" ? Answer::kBad : Answer::kGood;
  };
  EXPECT_THAT(searched(base, merge, moved_on_the_side), ElementsAre("side 2"));
  const auto only_both = [](const std::string& name) {
    return name == "merge" ? Answer::kBad : Answer::kGood;
  };
  EXPECT_THAT(searched(base, merge, only_both), ElementsAre("merge"));
}

TEST_F(Commits, AHashOfNothingIsSaid) {
  const std::string commit = add("only");
  EXPECT_THROW(CommitSearch(Git(folder_), std::string(40, '1'), commit), RunError);
}

}  // namespace
}  // namespace samebits
