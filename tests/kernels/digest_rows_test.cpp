#include "harness/kernels/digest_rows.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "harness/dispatch/launch.h"
#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"
#include "tests/support/message_of.h"

// The operator gives for each value what digest_sums gives for the rows that count.

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::message_of;
using testing::random_tensor;

at::Tensor some_sizes() { return at::tensor({3, 0, 7}, at::kLong); }

TEST(DigestRowsTest, GiveTheSumsOfTheRowsThatCount) {
  const at::Tensor bf16 = testing::hostile_tensor({1, 9, 5}, at::kBFloat16, 1);
  const at::Tensor floats = testing::hostile_tensor({7, 2, 3}, at::kFloat, 2);
  const at::Tensor ids = at::arange(40).view({8, 5});
  const at::Tensor sums = ops::digest_rows({bf16, floats, ids, ids.to(at::kBool), ids, ids.t()},
                                           {5, 6, 5, 5, 1, 8}, {0, 2, 1, -1, -1, 0}, some_sizes());
  const std::vector<at::Tensor> counted = {
      bf16.narrow(1, 0, 3), floats, ids.narrow(0, 0, 0),
      ids.to(at::kBool),    ids,    ids.t().contiguous().narrow(0, 0, 3)};
  ASSERT_EQ(sums.sizes(), at::IntArrayRef({6, 2}));
  for (size_t k = 0; k < counted.size(); ++k) {
    EXPECT_TRUE(at::equal(sums[static_cast<int64_t>(k)], ops::digest_sums(counted[k]))) << k;
  }
  EXPECT_FALSE(at::equal(sums[0], ops::digest_sums(bf16)));
}

TEST(DigestRowsTest, PaddingDoesNotCountAndEveryBitBeforeItDoes) {
  const at::Tensor x = random_tensor({1, 9, 5}, at::kBFloat16, 3);
  const auto sums_of = [](const at::Tensor& value) {
    return ops::digest_rows({value}, {5}, {0}, some_sizes());
  };
  at::Tensor padded = x.clone();
  padded.narrow(1, 3, 6).fill_(-1);
  EXPECT_TRUE(at::equal(sums_of(padded), sums_of(x)));
  at::Tensor flipped = x.clone();
  flipped.view(at::kShort)[0][2][4].bitwise_xor_(1);
  EXPECT_FALSE(at::equal(sums_of(flipped), sums_of(x)));
}

class Launches : public LaunchSink {
 public:
  void add(const char*, std::function<void()> body) override { bodies.push_back(std::move(body)); }
  std::vector<std::function<void()>> bodies;
};

TEST(DigestRowsTest, ARecordedLaunchReadsTheSizeWhenItRuns) {
  const at::Tensor x = random_tensor({9, 5}, at::kFloat, 4);
  const at::Tensor sizes = at::tensor({int64_t{9}});
  Launches launches;
  at::Tensor sums;
  {
    const LaunchCaptureGuard capturing(launches);
    sums = ops::digest_rows({x}, {5}, {0}, sizes);
  }
  ASSERT_EQ(launches.bodies.size(), 1U);
  for (const int64_t rows : {9, 2, 5}) {
    sizes.fill_(rows);
    launches.bodies[0]();
    EXPECT_TRUE(at::equal(sums[0], ops::digest_sums(x.narrow(0, 0, rows)))) << rows;
  }
}

TEST(DigestRowsTest, RefuseWhatDoesNotFit) {
  const at::Tensor x = at::ones({6, 5});
  const auto words = [](std::vector<at::Tensor> values, std::vector<int64_t> widths,
                        std::vector<int64_t> rows, const at::Tensor& sizes) {
    return message_of([&] { ops::digest_rows(values, widths, rows, sizes); });
  };
  EXPECT_EQ(words({x}, {5}, {0}, some_sizes()), "");
  EXPECT_THAT(words({x}, {5}, {2}, some_sizes()),
              HasSubstr("value 0 has 6 rows, found a size of 7"));
  EXPECT_THAT(words({x}, {5}, {0}, -some_sizes()),
              HasSubstr("value 0 has 6 rows, found a size of -3"));
  EXPECT_THAT(words({x}, {0}, {0}, some_sizes()), HasSubstr("width 0 is 0, expected 1 or more"));
  EXPECT_THAT(words({x}, {5}, {3}, some_sizes()), HasSubstr("rows 0 is 3, expected -1 to 2"));
  EXPECT_THAT(words({x}, {5, 5}, {0}, some_sizes()),
              HasSubstr("found 2 widths and 1 rows, expected 1"));
  EXPECT_THAT(words({x}, {5}, {0}, some_sizes().to(at::kInt)),
              HasSubstr("dtype Int, expected Long"));
  EXPECT_THAT(words({}, {}, {}, some_sizes()), HasSubstr("found 0 values, expected 1 to 512"));
  const size_t many = kMaxDigestedValues + 1;
  EXPECT_THAT(words(std::vector<at::Tensor>(many, x), std::vector<int64_t>(many, 5),
                    std::vector<int64_t>(many, 0), some_sizes()),
              HasSubstr("found 513 values, expected 1 to 512"));
}

}  // namespace
}  // namespace samebits
