#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "harness/bits/digest.h"
#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

// The operator gives the sums from which bits/digest.h makes a tensor's digest.

namespace samebits {
namespace {

Digest digest_by_operator(const at::Tensor& x, Dtype dtype) {
  const at::Tensor sums = ops::digest_sums(x);
  const auto* at = sums.const_data_ptr<int64_t>();
  return finish_digest({static_cast<uint64_t>(at[0]), static_cast<uint64_t>(at[1])}, dtype,
                       {x.sizes().data(), x.sizes().size()});
}

Digest digest_of(const at::Tensor& x, Dtype dtype) {
  return samebits::digest_of(dtype, {x.sizes().data(), x.sizes().size()}, x.const_data_ptr());
}

TEST(DigestSumsTest, MakeTheDigestOfATensor) {
  for (const std::vector<int64_t>& sizes :
       std::vector<std::vector<int64_t>>{{}, {0}, {1}, {7}, {3, 0, 2}, {5, 333}, {2, 3, 4, 5}}) {
    const at::Tensor bf16 = testing::hostile_tensor(sizes, at::kBFloat16, 1);
    const at::Tensor floats = testing::hostile_tensor(sizes, at::kFloat, 2);
    const at::Tensor ids = at::arange(bf16.numel()).view(sizes);
    EXPECT_EQ(digest_by_operator(bf16, Dtype::bfloat16), digest_of(bf16, Dtype::bfloat16));
    EXPECT_EQ(digest_by_operator(floats, Dtype::float32), digest_of(floats, Dtype::float32));
    EXPECT_EQ(digest_by_operator(ids, Dtype::int64), digest_of(ids, Dtype::int64));
    EXPECT_EQ(digest_by_operator(ids.to(at::kBool), Dtype::bool_),
              digest_of(ids.to(at::kBool), Dtype::bool_));
  }
}

TEST(DigestSumsTest, ReadATransposedTensorRowByRow) {
  const at::Tensor x = testing::random_tensor({4, 6}, at::kFloat, 3);
  EXPECT_EQ(digest_by_operator(x.t(), Dtype::float32),
            digest_of(x.t().contiguous(), Dtype::float32));
}

TEST(DigestSumsTest, SeeOneBitAndTwoElementsThatChangePlaces) {
  const at::Tensor x = at::arange(100);
  at::Tensor flipped = x.clone();
  flipped[41] = 41 ^ 1;
  at::Tensor swapped = x.clone();
  swapped[41] = 42;
  swapped[42] = 41;
  EXPECT_NE(digest_by_operator(flipped, Dtype::int64), digest_of(x, Dtype::int64));
  EXPECT_NE(digest_by_operator(swapped, Dtype::int64), digest_of(x, Dtype::int64));
}

}  // namespace
}  // namespace samebits
