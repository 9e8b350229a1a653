#include "harness/observe/recorder_file.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "harness/observe/arm_recording.h"
#include "harness/observe/run_files.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

constexpr char kAbout[] =
    R"({"format": 1, "recorder": "r 1", "level": "op", "command": [], "environment": {}})";

class RecorderFileTest : public testing::Scratch {
 protected:
  void SetUp() override {
    testing::Scratch::SetUp();
    write(arm() / "rank-0.jsonl", "");
    write(arm() / "steps.jsonl", "");
  }
  std::filesystem::path arm() const { return folder_ / "arm"; }

  // As a recorder that called the folder `name`, and ended.
  void finish(const std::string& name) {
    std::string files;
    for (const char* file : {"rank-0.jsonl", "steps.jsonl"}) {
      files += files.empty() ? "" : ", ";
      files += "\"" + std::string(file) + "\": \"" + run_files::digest_of_file(arm() / file) + "\"";
    }
    write(arm() / "finished.json",
          R"({"arm": ")" + name + R"(", "observations": [0], "files": {)" + files + "}}");
  }
};

TEST_F(RecorderFileTest, ARecordingWithoutItsMarkerWasCutOff) {
  EXPECT_FALSE(read_arm(arm()).is_cut_off()) << "a stream that a program wrote by itself";
  write(arm() / "recorder.json", kAbout);
  EXPECT_TRUE(read_arm(arm()).is_cut_off());
  finish("arm");
  EXPECT_FALSE(read_whole_arm(arm()).is_cut_off());
}

TEST_F(RecorderFileTest, SaysItsLevelWhereThereIsOne) {
  EXPECT_EQ(recorder_level(arm()), "");
  write(arm() / "recorder.json", R"({"format": 1, "level": "op"})");
  EXPECT_EQ(recorder_level(arm()), "op");
  write(arm() / "recorder.json", R"({"format": 1, "level": 3})");
  EXPECT_THAT(message_of<InputError>([&] { recorder_level(arm()); }), HasSubstr("level: found 3"));
}

TEST_F(RecorderFileTest, ARecordingMayBeRenamedButNotChanged) {
  write(arm() / "recorder.json", kAbout);
  finish("baseline");
  EXPECT_EQ(damage_of_arm(arm()), "");
  write(arm() / "rank-0.jsonl", "\n");
  EXPECT_EQ(damage_of_arm(arm()), "rank-0.jsonl is not the file that the run wrote");
  write(arm() / "rank-0.jsonl", "");
  std::filesystem::remove(arm() / "recorder.json");
  EXPECT_EQ(damage_of_arm(arm()), "its files were recorded as arm \"baseline\"");
}

TEST_F(RecorderFileTest, AFormatThatIsNotKnownIsRefused) {
  write(arm() / "recorder.json", R"({"format": 2})");
  EXPECT_THAT(message_of<InputError>([&] { read_arm(arm()); }),
              HasSubstr("format: found 2, expected 1"));
  write(arm() / "recorder.json", R"({"format": 1, "sampled": true})");
  EXPECT_THAT(message_of<InputError>([&] { read_arm(arm()); }), HasSubstr("sampled"));
}

TEST_F(RecorderFileTest, TheLineOfTheProgramIsFoundByRankAndSite) {
  EXPECT_EQ(source_of(arm(), 0, "a/aten.mm[0]#0"), "");
  write(arm() / "sites-1.json",
        R"({"sources": {"a/aten.mm[0]#0": "m.py:3 in forward"}, "unobserved": {}})");
  EXPECT_EQ(source_of(arm(), 1, "a/aten.mm[0]#0"), "m.py:3 in forward");
  EXPECT_EQ(source_of(arm(), 0, "a/aten.mm[0]#0"), "");
  EXPECT_EQ(source_of(arm(), 1, "b"), "");
  write(arm() / "sites-1.json", R"({"sources": {"b": "\u001b[2J"}, "unobserved": {}})");
  EXPECT_THROW(source_of(arm(), 1, "b"), InputError) << "what a terminal would obey";
  write(arm() / "sites-1.json", "{");
  EXPECT_THROW(source_of(arm(), 1, "b"), InputError);
}

}  // namespace
}  // namespace samebits
