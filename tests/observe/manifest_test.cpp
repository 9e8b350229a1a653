#include "harness/observe/manifest.h"

#include <gmock/gmock.h>

#include "harness/core/error.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::message_of;
using ManifestFile = testing::Scratch;

Manifest example() {
  Manifest manifest;
  manifest.command = "samebits run c.json";
  manifest.environment = {{"cpu", "x"}, {"commit", "y"}};
  manifest.settings = {{"name", "c"}};
  manifest.arms = {{"a", true, 1, 7, 1.5, ""}, {"b", false, 2, 3, 0.5, "eager code ran"}};
  manifest.verdicts.push_back({{"holds", true}});
  return manifest;
}

TEST_F(ManifestFile, ReadsBackAsWritten) {
  write_manifest(folder_, example());
  const std::string text = read(folder_ / "manifest.json");
  const auto manifest = read_manifest(folder_);
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->environment, example().environment);
  EXPECT_EQ(manifest->arms[1].witness_failure, "eager code ran");
  EXPECT_EQ(manifest->verdicts, example().verdicts);
  write_manifest(folder_, *manifest);
  EXPECT_EQ(read(folder_ / "manifest.json"), text);
}

TEST_F(ManifestFile, RunThatWasCutOffHasNone) { EXPECT_FALSE(read_manifest(folder_)); }

TEST_F(ManifestFile, AnotherFormatIsRefused) {
  write_manifest(folder_, example());
  std::string text = read(folder_ / "manifest.json");
  text.replace(text.find("\"format\": 1"), 11, "\"format\": 2");
  write(folder_ / "manifest.json", text);
  EXPECT_THAT(message_of<InputError>([&] { read_manifest(folder_); }),
              HasSubstr("manifest.json: format: found 2"));
}

}  // namespace
}  // namespace samebits
