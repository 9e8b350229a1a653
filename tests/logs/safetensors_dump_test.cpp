#include <gmock/gmock.h>

#include "harness/base/file.h"
#include "harness/bits/digest.h"
#include "harness/bits/safetensors.h"
#include "tests/logs/logs.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using testing::at;
using testing::error_of;
using ::testing::HasSubstr;
using testing::precision_of;
using testing::value_at;

class SafetensorsDump : public testing::Scratch {
 protected:
  // A vector and a scalar.
  std::string dump(float second) {
    const float values[] = {1, second};
    const float loss = 0.5F;
    const std::vector<TensorView> tensors = {
        {"layers.0.w", Dtype::float32, {2}, std::as_bytes(std::span(values))},
        {"loss", Dtype::float32, {}, std::as_bytes(std::span(&loss, 1))}};
    const std::string file = (folder_ / "a.safetensors").string();
    write_safetensors(file, tensors);
    return read_text_file(file);
  }
};

TEST_F(SafetensorsDump, TensorsAreSitesByTheBit) {
  const Log log = testing::read(dump(2), {}, "a.safetensors");
  const float values[] = {1, 2};
  const int64_t shape[] = {2};
  EXPECT_EQ(at(log, 0, "layers.0.w")->digest, digest_of(Dtype::float32, shape, values));
  EXPECT_EQ(value_at(log, 0, "loss"), "0.5");
  EXPECT_EQ(precision_of(log, "layers.0.w"), "to the bit");
  EXPECT_EQ(log.source.format, "safetensors");
  EXPECT_NE(testing::read(dump(2.5), {}, "a.safetensors").stream.observations,
            log.stream.observations);
}

TEST_F(SafetensorsDump, OnlySomeAreRead) {
  const Log log = testing::read(
      dump(2), {.format = "safetensors", .pattern = "", .step = "", .only = "^layers"});
  EXPECT_EQ(log.stream.observations.size(), 1);
}

TEST_F(SafetensorsDump, ABrokenFileIsRefused) {
  const std::string whole = dump(2);
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(error_of(whole.substr(0, size), {}, "a.safetensors"), HasSubstr("a.safetensors"));
  }
}

}  // namespace
}  // namespace samebits
