// What a run leaves untried is told, and is not told of a run that tries it.
#include <gmock/gmock.h>

#include "harness/report/record_parts.h"
#include "tests/compare/streams.h"

namespace samebits {
namespace {

using ::testing::Contains;
using testing::grpo_stream;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::scalar;
using ::testing::StartsWith;

Case case_of(const std::string& keys) {
  return parse_case(R"({"name": "c", "model": "m", "arms": {"a": {)" + keys + "}}}", "c.json");
}

std::vector<std::string> told(const Case& c, std::vector<Observation> stream) {
  ArmRecording recording;
  recording.arm = "a";
  recording.ranks.push_back({std::move(stream), 0, 0});
  return unexercised_by(c, {recording});
}

TEST(Unexercised, EagerStepWithoutASyncLeavesMost) {
  const Case c = case_of(R"("workload": {"sync": "never", "max_new_tokens": 2})");
  const auto list = told(c, grpo_stream(1));
  for (const char* what : {"Sharding", "Replicas", "Transport", "Capture", "A second step",
                           "A weight sync", "Clipping of the ratio", "An end of text"}) {
    EXPECT_THAT(list, Contains(StartsWith(what)));
  }
}

TEST(Unexercised, RunThatTriesAllOfItLeavesNothing) {
  const Case c = case_of(R"("generator": "full_graph",
                            "mesh": {"kind": "gloo", "tp": 2, "dp": 2},
                            "workload": {"optimizer": {"clip_norm": 0.5}})");
  std::vector<Observation> stream = grpo_stream(2);
  stream.push_back(scalar(1, "train", "clipped", 1));
  EXPECT_THAT(told(c, stream), IsEmpty());
}

TEST(Unexercised, ALateSyncIsOne) {
  const Case c = case_of(R"("workload": {"sync": {"late": 1}})");
  EXPECT_THAT(told(c, grpo_stream(2)), Not(Contains(StartsWith("A weight sync"))));
}

TEST(Unexercised, CaptureIsNoReplay) {
  const auto list = told(case_of(R"("generator": "captured")"), grpo_stream(2));
  EXPECT_THAT(list, Contains(StartsWith("Replays")));
  EXPECT_THAT(list, Not(Contains(StartsWith("Capture"))));
}

TEST(Unexercised, ArmThatDidNotRunIsNamed) {
  const Case c = parse_case(R"({"name": "c", "model": "m", "arms": {"a": {}, "b": {}}})", "c.json");
  EXPECT_THAT(told(c, grpo_stream(2)), Contains("Arms of the case: b."));
}

}  // namespace
}  // namespace samebits
