#include <gmock/gmock.h>

#include <set>

#include "harness/base/file.h"
#include "harness/logs/recording.h"
#include "tests/logs/event_file.h"
#include "tests/logs/logs.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

TEST(Formats, AreFoundByNameAndFirstBytes) {
  const auto format = [](const std::string& file, const std::string& text) {
    return testing::read(text, {}, file).source.format;
  };
  const std::string row = "{\"step\": 1, \"a\": 2}\n";
  EXPECT_EQ(format("out/metrics.jsonl", row), "jsonl");
  EXPECT_EQ(format("out/metrics.log", row), "jsonl");
  EXPECT_EQ(format("out/metrics.csv", "step,a\n1,2\n"), "csv");
  EXPECT_EQ(format("trainer_state.json", "{\"log_history\": [" + row + "]}"), "trainer_state");
  EXPECT_EQ(format("answer.json", R"({"choices": [{"token_ids": [3]}]})"), "completions");
  EXPECT_EQ(format("events.out.tfevents.1.host", testing::scalar_event(1, "a", 2)), "tensorboard");
  EXPECT_THAT(error_of("step: 1 loss: 2\n", {}, "console.log"),
              HasSubstr("console.log: found no log"));
  EXPECT_THAT(error_of(row, {.format = "cvs", .pattern = "", .step = "", .only = ""}),
              HasSubstr("did you mean \"csv\"?"));
}

TEST(Formats, HaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const LogFormat& each : log_formats()) EXPECT_TRUE(names.insert(each.name).second);
}

class Recording : public testing::Scratch {};

TEST_F(Recording, OfALogSaysHowExactlyItHoldsItsValues) {
  const std::string file = (folder_ / "a.csv").string();
  write_text_file(file, "step,loss\n1,0.5000\n");
  const ArmRecording recording = read_recording(file);
  EXPECT_EQ(recording.arm, "a.csv");
  ASSERT_TRUE(recording.log);
  EXPECT_EQ(recording.log->precision.at("loss").text(), "to 4 decimals");
  EXPECT_FALSE(recording.is_cut_off());
}

TEST_F(Recording, OfAFolderTakesNoSettingsOfALog) {
  const LogSettings settings = {.format = "", .pattern = "", .step = "at", .only = ""};
  EXPECT_THAT(testing::refusal_of([&] { read_recording(folder_, settings); }), HasSubstr("a log"));
  EXPECT_THAT(testing::refusal_of([&] { read_recording(folder_); }), HasSubstr("no rank-0.jsonl"));
}

TEST_F(Recording, OfAPathThatIsNoFileAndNoFolderSaysWhatItIs) {
  EXPECT_THAT(testing::refusal_of([&] { read_recording(folder_ / "none.csv"); }),
              HasSubstr("none.csv: found no such file or folder"));
  EXPECT_THAT(testing::refusal_of([&] { read_recording("/dev/null"); }),
              HasSubstr("/dev/null: found a pipe or a device, expected a log as a regular file"));
}

TEST_F(Recording, WhatIsSaidOfALogReadsBack) {
  LogSource source = testing::read("step,a,b\n1,0.25,x\n2,0.5,y\n",
                                   {.format = "csv", .pattern = "", .step = "", .only = ""})
                         .source;
  source.drops = "nothing";
  write_log_source(folder_, source);
  EXPECT_EQ(read_log_source(folder_), source);
  EXPECT_EQ(read_log_source(folder_ / "elsewhere"), std::nullopt);
  write_text_file((folder_ / "log.json").string(), R"({"file": "a", "format": "csv"})");
  EXPECT_THAT(testing::refusal_of([&] { read_log_source(folder_); }), HasSubstr("pattern"));
}

}  // namespace
}  // namespace samebits
