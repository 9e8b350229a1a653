#include "harness/observe/manifest.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
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
  manifest.arms = {{"a", true, 1, 7, 1.5, "0123"}, {"b", false, 2, 3, 0.5, ""}};
  manifest.closer = {
      {"a", "b", "layers.0.wo#0", {{"elements", "1 of 2 differ"}}, {{"b", "differs at step 1"}}}};
  manifest.models = {{"m", 100, 2, 8}};
  manifest.load_before = 0.5;
  manifest.verdicts.push_back({{"holds", true}});
  return manifest;
}

TEST_F(ManifestFile, ReadsBackAsWritten) {
  write_manifest(folder_, example());
  const std::string text = read(folder_ / "manifest.json");
  const auto manifest = read_manifest(folder_);
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->environment, example().environment);
  EXPECT_EQ(manifest->arms[0].marker, "0123");
  EXPECT_EQ(manifest->closer[0].unstable[0].second, "differs at step 1");
  EXPECT_EQ(manifest->closer[0].facts, example().closer[0].facts);
  EXPECT_EQ(manifest->models[0].parameters, 100);
  EXPECT_EQ(manifest->verdicts, example().verdicts);
  write_manifest(folder_, *manifest);
  EXPECT_EQ(read(folder_ / "manifest.json"), text);
}

TEST_F(ManifestFile, RunThatWasCutOffHasNone) { EXPECT_FALSE(read_manifest(folder_)); }

TEST_F(ManifestFile, AnotherFormatIsRefused) {
  write_manifest(folder_, example());
  std::string text = read(folder_ / "manifest.json");
  const auto with_format = [&](const std::string& number) {
    std::string other = text;
    other.replace(text.find("\"format\": 2"), 11, "\"format\": " + number);
    write(folder_ / "manifest.json", other);
  };
  with_format("1");  // what an earlier version wrote
  EXPECT_TRUE(read_manifest(folder_));
  with_format("3");
  EXPECT_THAT(message_of<InputError>([&] { read_manifest(folder_); }),
              HasSubstr("manifest.json: format: found 3"));
}

}  // namespace
}  // namespace samebits
