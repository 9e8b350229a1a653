#include "harness/observe/observation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "harness/base/error.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::message_of;
using ::testing::StartsWith;

Observation scalar(Dtype dtype, uint64_t bits) {
  return observe_tensor(0, "train", 0, "x", dtype, {}, &bits);
}

std::string error_of(const std::string& line) {
  return message_of<InputError>([&] { observation_from_line(line, "a.jsonl: line 1"); });
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Observation, LineHasTheDocumentedForm) {
  const Observation loss = observe_float32(3, "train", 0, "loss", 7.4252f);
  EXPECT_EQ(line_from_observation(loss),
            "{\"step\":3,\"phase\":\"train\",\"rank\":0,\"site\":\"loss\",\"dtype\":\"float32\","
            "\"shape\":[],\"digest\":\"" +
                loss.digest.hex() + "\",\"bits\":\"40ed9b3d\",\"value\":7.4252}");
}

TEST(Observation, TensorHasDigestAndNoValue) {
  const float data[6] = {1, 2, 3, 4, 5, 6};
  const Observation tensor =
      observe_tensor(0, "train", 1, "layers.3.attention.wo#0", Dtype::float32, {2, 3}, data);
  const std::string line = line_from_observation(tensor);
  EXPECT_THAT(line, HasSubstr("\"shape\":[2,3]"));
  EXPECT_THAT(line, ::testing::Not(HasSubstr("value")));
  EXPECT_EQ(observation_from_line(line, "x"), tensor);
}

TEST(Observation, EveryDtypeReadsBackToTheSameBits) {
  const uint64_t patterns[] = {0,
                               1,
                               0x7f,
                               0x80,
                               0x3c00,
                               0x7bff,
                               0x7c00,
                               0x7c01,
                               0x7f80,
                               0x7fc1,
                               0x8000,
                               0xfc00,
                               0xff80,
                               0xffff,
                               0x00800000,
                               0x3f800001,
                               0x7f7fffff,
                               0x7f800000,
                               0x7fc00000,
                               0x80000000,
                               0xff800000,
                               0xffffffff,
                               0x3ff0000000000001,
                               0x7fefffffffffffff,
                               0x7ff0000000000000,
                               0x8000000000000000,
                               0xffffffffffffffff};
  for (int number = 0; number <= 9; ++number) {
    const auto dtype = static_cast<Dtype>(number);
    const size_t size = dtype_size(dtype);
    const uint64_t mask = size == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * size) - 1;
    for (const uint64_t pattern : patterns) {
      if (dtype == Dtype::bool_ && pattern > 1) continue;
      const Observation observation = scalar(dtype, pattern & mask);
      const std::string line = line_from_observation(observation);
      EXPECT_EQ(observation_from_line(line, "x"), observation) << line;
    }
  }
}

TEST(Observation, ScalarTextIsTheShortestThatReadsBack) {
  const auto text = [](float value) { return scalar_text(observe_float32(0, "p", 0, "s", value)); };
  EXPECT_EQ(text(0.1f), "0.1");
  EXPECT_EQ(text(-0.0f), "-0");
  EXPECT_EQ(text(std::nextafter(0.1f, 1.0f)), "0.10000001");
  EXPECT_EQ(text(std::numeric_limits<float>::infinity()), "inf");
  EXPECT_EQ(text(-std::numeric_limits<float>::infinity()), "-inf");
  EXPECT_EQ(text(std::nanf("")), "nan");
  EXPECT_EQ(scalar_text(scalar(Dtype::bfloat16, 0x3dcd)), "0.100097656");
  EXPECT_EQ(scalar_text(scalar(Dtype::float16, 0x0001)), "5.9604645e-08");
  EXPECT_EQ(scalar_text(observe_int64(0, "p", 0, "s", -9223372036854775807LL - 1)),
            "-9223372036854775808");
}

TEST(Observation, SignedZerosAndNansAreDifferentObservations) {
  EXPECT_NE(observe_float32(0, "p", 0, "s", 0.0f), observe_float32(0, "p", 0, "s", -0.0f));
  EXPECT_NE(scalar(Dtype::float32, 0x7fc00000), scalar(Dtype::float32, 0x7fc00001));
  EXPECT_EQ(scalar(Dtype::float32, 0x7fc00001), scalar(Dtype::float32, 0x7fc00001));
}

TEST(Observation, LineWithABomACarriageReturnOrSpacesIsRefused) {
  const std::string line = line_from_observation(observe_float32(0, "train", 0, "loss", 1));
  EXPECT_NO_THROW(observation_from_line(line, "a.jsonl: line 1"));
  for (const std::string& other : {"\xef\xbb\xbf" + line, line + "\r", " " + line, line + " "}) {
    EXPECT_THROW(observation_from_line(other, "a.jsonl: line 1"), InputError) << other;
  }
}

TEST(Observation, ElementsThatAreNotFiniteAreCountedAndWritten) {
  const float values[3] = {1, NAN, -INFINITY};
  const Observation seen = observe_tensor(0, "p", 0, "w", Dtype::float32, {3}, values);
  EXPECT_EQ(seen.nonfinite, 2);
  const std::string line = line_from_observation(seen);
  EXPECT_TRUE(line.ends_with(",\"nonfinite\":2}")) << line;
  EXPECT_EQ(observation_from_line(line, "x"), seen);
  EXPECT_TRUE(has_nonfinite(seen));
  EXPECT_FALSE(has_nonfinite(observe_tensor(0, "p", 0, "w", Dtype::int32, {3}, values)));
  EXPECT_TRUE(has_nonfinite(observe_float32(0, "p", 0, "loss", NAN)));
}

TEST(Observation, RanksWithAnotherCopyAreWritten) {
  const float values[3] = {1, 2, 3};
  Observation seen = observe_tensor(0, "p", 0, "w", Dtype::float32, {3}, values);
  EXPECT_THAT(line_from_observation(seen), ::testing::Not(HasSubstr("apart")));
  seen.apart = {1, 3};
  const std::string line = line_from_observation(seen);
  EXPECT_TRUE(line.ends_with(",\"apart\":[1,3]}")) << line;
  EXPECT_EQ(observation_from_line(line, "x"), seen);
  for (const char* other : {"[]", "[0]", "[3,1]", "[1,1]", "1"}) {
    EXPECT_NE(error_of(replaced(line, "[1,3]", other)), "") << other;
  }
}

TEST(Observation, EditedLineIsRefused) {
  const std::string line = line_from_observation(observe_float32(3, "train", 0, "loss", 7.4252f));
  EXPECT_THAT(error_of(replaced(line, "7.4252", "7.4253")),
              HasSubstr("which is what the bits say"));
  EXPECT_THAT(
      error_of(replaced(line, "40ed9b3d\",\"value\":7.4252", "40ed9b3e\",\"value\":7.4252005")),
      HasSubstr("the digest of the bits"));
  EXPECT_THAT(error_of(replaced(line, "40ed9b3d", "40ED9B3D")),
              HasSubstr("8 lower-case hex digits"));
  EXPECT_THAT(error_of(replaced(line, "\"shape\":[]", "\"shape\":[1]")), HasSubstr("bits"));
  EXPECT_THAT(error_of(replaced(line, "\"site\"", "\"sites\"")),
              HasSubstr("did you mean \"site\"?"));
  EXPECT_THAT(error_of(replaced(line, "\"step\":3", "\"step\":-3")), HasSubstr("at least 0"));
  EXPECT_THAT(error_of(replaced(line, "float32", "float23")), HasSubstr("the name of a dtype"));
  EXPECT_THAT(error_of(line + "x"), StartsWith("a.jsonl: line 1: column"));
}

}  // namespace
}  // namespace samebits
