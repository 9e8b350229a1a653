#include "harness/diagnose/reducer.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "tests/support/message_of.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using testing::Scratch;
using Seen = Sighting::Kind;

Candidate candidate(int64_t steps, int64_t tokens) {
  return {{{"steps", steps}, {"tokens", tokens}}};
}

Reduction down(const std::string& key) {
  return {key, [key](const Candidate& from) {
            std::vector<Candidate> smaller;
            for (const int64_t value : smaller_numbers(from.settings.at(key), 1)) {
              smaller.push_back(from);
              smaller.back().settings[key] = value;
              smaller.back().change = key + " -> " + std::to_string(value);
            }
            return smaller;
          }};
}

// Answers by a rule, and counts.
class FakeProbe : public Probe {
 public:
  using Rule = std::function<Seen(int64_t steps, int64_t tokens, int64_t run)>;
  explicit FakeProbe(Rule rule) : rule_(std::move(rule)) {}
  Sighting run(const Candidate& each) override {
    ++runs;
    return {rule_(each.settings.at("steps"), each.settings.at("tokens"), runs), "here"};
  }
  int64_t runs = 0;

 private:
  Rule rule_;
};

Seen same_where(bool fails) { return fails ? Seen::kSame : Seen::kNone; }

class Reducer : public Scratch {
 protected:
  Reduced reduce_from(const Candidate& whole, Probe& probe, const Trial& of_whole = {2, 2, {}},
                      const ReducerOptions& options = {}) {
    Journal journal(folder_ / "journal.jsonl", {{"subject", 1}});
    return reduce(whole, of_whole, {down("steps"), down("tokens")}, probe, journal, options);
  }
};

TEST_F(Reducer, FindsTheLeastThatFails) {
  FakeProbe probe(
      [](int64_t steps, int64_t tokens, int64_t) { return same_where(steps >= 3 && tokens >= 7); });
  const Reduced found = reduce_from(candidate(10, 40), probe);
  EXPECT_EQ(found.least.settings, candidate(3, 7).settings);
  EXPECT_TRUE(found.is_least);
  EXPECT_TRUE(found.trial.always_fails());
  EXPECT_EQ(found.trial.runs, 2);  // each that is taken was seen to fail again
}

TEST_F(Reducer, GoesOnAfterASizeThatNeedsAnother) {
  FakeProbe probe([](int64_t steps, int64_t tokens, int64_t) {
    return same_where(steps >= 5 || tokens == 1);  // steps can fall only once tokens have
  });
  EXPECT_EQ(reduce_from(candidate(10, 4), probe).least.settings, candidate(1, 1).settings);
}

TEST_F(Reducer, DoesNotTakeAnotherFailureNorOneThatCannotRun) {
  FakeProbe probe([](int64_t steps, int64_t, int64_t) {
    return steps >= 4 ? Seen::kSame : steps == 3 ? Seen::kOther : Seen::kRefused;
  });
  EXPECT_EQ(reduce_from(candidate(9, 1), probe).least.settings, candidate(4, 1).settings);
}

TEST_F(Reducer, OfWhatAlwaysFailsAFlakyCandidateIsToldAndNotTaken) {
  FakeProbe probe(
      [](int64_t steps, int64_t, int64_t run) { return same_where(steps >= 2 || run % 2 == 1); });
  const Reduced found = reduce_from(candidate(2, 1), probe);
  EXPECT_EQ(found.least.settings, candidate(2, 1).settings);
  EXPECT_THAT(found.unsteady, ElementsAre("steps -> 1: in 3 of 5 runs"));
}

TEST_F(Reducer, OfWhatFailsSometimesACandidateThatFailsAsOftenIsTaken) {
  FakeProbe probe([](int64_t, int64_t, int64_t run) { return same_where(run % 2 == 0); });
  const Reduced found = reduce_from(candidate(2, 1), probe, {5, 2, {}});
  EXPECT_EQ(found.least.settings, candidate(1, 1).settings);
  EXPECT_EQ(found.trial.count(), "in 2 of 5 runs");
}

TEST_F(Reducer, IsTakenUpWithoutTryingAnythingTwice) {
  const FakeProbe::Rule rule = [](int64_t steps, int64_t tokens, int64_t) {
    return same_where(steps >= 3 && tokens >= 7);
  };
  FakeProbe all(rule);
  const Reduced whole = reduce_from(candidate(10, 40), all);
  std::filesystem::remove(folder_ / "journal.jsonl");

  FakeProbe cut_off([&](int64_t steps, int64_t tokens, int64_t run) {
    if (run > 6) throw RunError("killed");
    return rule(steps, tokens, run);
  });
  EXPECT_THROW(reduce_from(candidate(10, 40), cut_off), RunError);
  FakeProbe rest(rule);
  const Reduced found = reduce_from(candidate(10, 40), rest);
  EXPECT_EQ(found.least.settings, whole.least.settings);
  EXPECT_EQ(found.changes, whole.changes);
  EXPECT_EQ(found.tried, whole.tried);
  EXPECT_LT(rest.runs, all.runs);
  FakeProbe nothing(rule);
  reduce_from(candidate(10, 40), nothing);
  EXPECT_EQ(nothing.runs, 0);
}

TEST_F(Reducer, LeavesWhatEndedTheProgramTwice) {
  FakeProbe deadly([](int64_t steps, int64_t, int64_t) -> Seen {
    if (steps == 1) throw RunError("killed");
    return Seen::kSame;
  });
  EXPECT_THROW(reduce_from(candidate(4, 1), deadly), RunError);
  EXPECT_THROW(reduce_from(candidate(4, 1), deadly), RunError);
  EXPECT_EQ(reduce_from(candidate(4, 1), deadly).least.settings, candidate(2, 1).settings);
}

TEST_F(Reducer, EndsWhereTheTimeIsOverAndSaysSo) {
  FakeProbe probe([](int64_t, int64_t, int64_t) { return Seen::kSame; });
  ReducerOptions options;
  options.time_limit_s = 1e-9;
  const Reduced found = reduce_from(candidate(10, 40), probe, {2, 2, {}}, options);
  EXPECT_FALSE(found.is_least);
  EXPECT_EQ(probe.runs, 0);
  EXPECT_TRUE(reduce_from(candidate(10, 40), probe).is_least);
}

TEST_F(Reducer, RefusesTheJournalOfSomethingElse) {
  const std::filesystem::path file = folder_ / "journal.jsonl";
  { const Journal journal(file, {{"subject", 1}}); }
  EXPECT_THAT(message_of<InputError>([&] {
                Journal(file, {{"subject", 2}});
              }),
              HasSubstr("what was tried for something else"));
  write_text_file(file.string(), "{\"subject\":1}\n{\"candidate\":7}\n");
  EXPECT_THAT(message_of<InputError>([&] {
                Journal(file, {{"subject", 1}});
              }),
              HasSubstr("line 2"));
}

TEST(SmallerNumbers, BisectFromTheLeastToTheNearest) {
  EXPECT_THAT(smaller_numbers(10, 1), ElementsAre(1, 5, 8, 9));
  EXPECT_THAT(smaller_numbers(384, 16, 16), ElementsAre(16, 192, 288, 336, 352, 368));
  EXPECT_THAT(smaller_numbers(1, 1), ElementsAre());
}

TEST(SmallerLists, AreHalvesAndWhatIsLeftWithoutParts) {
  const Json list = {1, 2, 3, 4};
  EXPECT_THAT(smaller_lists(list, 1),
              ElementsAre(Json({1, 2}), Json({3, 4}), Json({2, 3, 4}), Json({1, 3, 4}),
                          Json({1, 2, 4}), Json({1, 2, 3})));
  EXPECT_THAT(smaller_lists(Json::array({1}), 1), ElementsAre());
  EXPECT_THAT(smaller_lists(Json::array({1}), 0), ElementsAre(Json::array()));
}

}  // namespace
}  // namespace samebits
