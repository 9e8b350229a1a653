#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

#include "harness/kernels/functional.h"
#include "tests/kernels/cuda_agreement.h"

// Attention on a card where there are many sequences, some without a token, so that a token's own is
// looked for among all of them.

namespace samebits {
namespace {

using CudaSequencesTest = testing::CudaTest;
using testing::agrees;
using testing::boundaries;
using testing::for_all_values;
using testing::list;
using testing::Make;
using testing::Tensors;

constexpr int kSequences = 70;

// So many tokens of each in turn; no more than `tokens` in all.
std::vector<int32_t> ends_of(const std::vector<int>& lengths, int tokens) {
  std::vector<int32_t> ends{0};
  for (int s = 0; s < kSequences; ++s) {
    ends.push_back(std::min(ends.back() + lengths[s % lengths.size()], tokens));
  }
  return ends;
}

// Queries, caches, page table, boundaries, and the keys of each sequence.
Tensors paged(Make make, at::ScalarType dtype, const std::vector<int32_t>& ends, int64_t tokens) {
  constexpr int64_t kHeads = 4;
  constexpr int64_t kKvHeads = 2;
  constexpr int64_t kDim = 64;
  constexpr int64_t kWidth = 40;  // pages of a sequence: 640 keys
  std::vector<int32_t> keys;
  for (size_t s = 0; s + 1 < ends.size(); ++s) {
    keys.push_back(ends[s + 1] - ends[s] + static_cast<int32_t>(s * 37 % 600));
  }
  const at::Tensor table = at::randint(0, 300, {kSequences, kWidth}, testing::seeded(7),
                                       at::TensorOptions().dtype(at::kInt));
  return {make({1, tokens, kHeads, kDim}, dtype, 1),
          make({300, 16, kKvHeads, kDim}, dtype, 2),
          make({300, 16, kKvHeads, kDim}, dtype, 3),
          table,
          boundaries(ends),
          boundaries(keys)};
}

Tensors attend(const Tensors& x) {
  return {ops::paged_attention(x[0], x[1], x[2], x[3], x[4], x[5], 0.1)};
}

// Few enough tokens for clusters of blocks, more, with padding behind them, and more than there are
// sequences.
TEST_F(CudaSequencesTest, PagedAttention) {
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    for (const int tokens : {24, 66, 130}) {
      const std::vector<int32_t> ends = ends_of({0, 1, 3, 0, 0, 2}, tokens - 4);
      EXPECT_TRUE(agrees(attend, paged(make, dtype, ends, tokens)))
          << what << ", " << tokens << " tokens";
    }
  });
}

TEST_F(CudaSequencesTest, AttentionAndItsGradients) {
  for_all_values([](at::ScalarType dtype, Make make, const std::string& what) {
    const std::vector<int32_t> ends = ends_of({1, 0, 9, 4, 0, 13}, /*tokens=*/1000);
    const int64_t tokens = ends.back();
    const Tensors in{make({1, tokens, 4, 64}, dtype, 1), make({1, tokens, 2, 64}, dtype, 2),
                     make({1, tokens, 2, 64}, dtype, 3), boundaries(ends),
                     make({1, tokens, 4, 64}, dtype, 4)};
    EXPECT_TRUE(agrees(
        [](const Tensors& x) {
          const auto [out, lse] = ops::flash_attention(x[0], x[1], x[2], x[3], 0.3);
          Tensors all =
              list(ops::flash_attention_backward(x[4], x[0], x[1], x[2], out, lse, x[3], 0.3));
          all.push_back(out);
          all.push_back(lse);
          return all;
        },
        in))
        << what;
  });
}

// The first boundary that falls is told, behind many that do not.
TEST_F(CudaSequencesTest, BoundariesThatFall) {
  std::vector<int32_t> ends = ends_of({0, 1, 1}, 60);
  ends[42] = 3;
  const Tensors in = testing::on(at::kCUDA, paged(testing::random_tensor, at::kBFloat16, ends, 66));
  attend(in)[0].cpu();
  std::string words;
  try {
    throw_device_fault();
  } catch (const c10::Error& error) {
    words = error.what_without_backtrace();
  }
  EXPECT_THAT(words, ::testing::HasSubstr("cu_seqlens[42] is 3, expected ascending values"));
}

}  // namespace
}  // namespace samebits
