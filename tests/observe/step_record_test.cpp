#include "harness/observe/step_record.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

StepRecord example() {
  return {3,
          {{"rollout", 0.25, 1 << 20}, {"train", 1.5, 2 << 20}},
          {{"generator.nodes", 812}, {"generator.eager_calls", 0}},
          "Paris \"is\"\n"};
}

TEST(StepRecord, ReadsBackAsWritten) {
  const StepRecord record = example();
  const std::string line = line_from_step_record(record);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const StepRecord again = step_record_from_line(line, "x");
  EXPECT_EQ(line_from_step_record(again), line);
  EXPECT_EQ(again.phases[1].phase, "train");
  EXPECT_EQ(again.phases[1].seconds, 1.5);
  EXPECT_EQ(again.witness[0].second, 812);
  EXPECT_EQ(again.completion, record.completion);
}

TEST(StepRecord, TheWitnessOfAPlantedFaultReadsBack) {
  StepRecord record = example();
  EXPECT_EQ(line_from_step_record(record).find("planted"), std::string::npos);
  record.planted = FaultWitness{.caller = "samebits::linear",
                                .rank = 1,
                                .changed = 3,
                                .element = 77,
                                .before = 0x3f80,
                                .after = 0xffffffffffffffff};
  const std::string line = line_from_step_record(record);
  EXPECT_EQ(step_record_from_line(line, "x").planted, record.planted);
  std::string broken = line;
  broken.replace(broken.find("3f80"), 4, "3g80");
  EXPECT_THAT(message_of<InputError>([&] { step_record_from_line(broken, "x"); }),
              HasSubstr("bits as hexadecimal digits"));
}

TEST(StepRecord, WhatObservingCostReadsBack) {
  StepRecord record = example();
  EXPECT_FALSE(step_record_from_line(line_from_step_record(record), "x").observation.has_value());
  record.observation = {Level::kOp, 812, 0.25, 0.5, 4096};
  const std::string line = line_from_step_record(record);
  EXPECT_EQ(step_record_from_line(line, "x").observation, record.observation);
  std::string broken = line;
  broken.replace(broken.find("\"op\""), 4, "\"ops\"");
  EXPECT_THAT(message_of<InputError>([&] { step_record_from_line(broken, "x"); }),
              HasSubstr("observation.level"));
}

TEST(StepRecord, APhaseThatIsEnteredTwiceIsOneCost) {
  StepRecord record = example();
  record.phases = {{"weights", 1, 2, 30}, {"sync", 4, 4, 5}, {"weights", 0.5, 1, 40}};
  const StepRecord again = step_record_from_line(line_from_step_record(record), "x");
  ASSERT_EQ(again.phases.size(), 2U);
  EXPECT_EQ(again.phases[0].phase, "weights");
  EXPECT_EQ(again.phases[0].seconds, 1.5);
  EXPECT_EQ(again.phases[0].processor_seconds, 3);
  EXPECT_EQ(again.phases[0].peak_bytes, 40);
}

TEST(StepRecord, CompletionCutInsideACharacterIsStillALine) {
  StepRecord record = example();
  record.completion = "caf\xc3";
  EXPECT_EQ(step_record_from_line(line_from_step_record(record), "x").completion,
            "caf\xef\xbf\xbd");
}

TEST(StepRecord, NegativeSecondsAreRefused) {
  StepRecord record = example();
  record.phases[0].seconds = -1;
  EXPECT_THAT(message_of<InputError>(
                  [&] { step_record_from_line(line_from_step_record(record), "s.jsonl"); }),
              HasSubstr("s.jsonl: phases.rollout.seconds"));
}

using StepRecordFile = testing::Scratch;

TEST_F(StepRecordFile, TornTailIsDroppedAndGarbageIsNot) {
  const std::string line = line_from_step_record(example()) + "\n";
  write(folder_ / "s.jsonl", line + line.substr(0, 20));
  EXPECT_EQ(read_step_records(folder_ / "s.jsonl").size(), 1u);
  write(folder_ / "s.jsonl", line + "garbage\n" + line);
  EXPECT_THAT(message_of<InputError>([&] { read_step_records(folder_ / "s.jsonl"); }),
              HasSubstr("line 2 (byte " + std::to_string(line.size()) + ")"));
  EXPECT_TRUE(read_step_records(folder_ / "absent.jsonl").empty());
}

}  // namespace
}  // namespace samebits
