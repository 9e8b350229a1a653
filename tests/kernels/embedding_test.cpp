#include "harness/kernels/embedding.h"

#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "tests/kernels/gradients.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::embedding_wgrad;
using testing::kDtypes;
using testing::random_tensor;
using testing::same_bits;

at::Tensor random_ids(int64_t count, int64_t vocab, uint64_t seed) {
  return at::randint(0, vocab, {1, count}, testing::seeded(seed), at::kLong);
}

TEST(Embedding, CopiesRowsBitsAndAll) {
  for (const auto dtype : kDtypes) {
    const at::Tensor weight = testing::hostile_tensor({23, 9}, dtype, 1);
    const at::Tensor ids = random_ids(40, 23, 2);
    const at::Tensor y = ops::embedding(ids, weight, 0);
    EXPECT_TRUE(same_bits(y[0], weight.index_select(0, ids[0])));
    EXPECT_FALSE(same_bits(ops::embedding(ids, weight, 1)[0], weight.index_select(0, ids[0])));
  }
}

TEST(Embedding, ShardsOfTheVocabularyAddUpToTheBit) {
  for (const auto dtype : kDtypes) {
    at::Tensor weight = random_tensor({20, 6}, dtype, 3);
    weight[4][2] = -0.0;
    const at::Tensor ids = at::arange(20, at::kLong).unsqueeze(0);
    const at::Tensor whole = ops::embedding(ids, weight, 0);
    at::Tensor sum = ops::embedding(ids, weight.slice(0, 0, 7), 0);
    sum = sum + ops::embedding(ids, weight.slice(0, 7, 14), 7);
    sum = sum + ops::embedding(ids, weight.slice(0, 14, 20), 14);
    EXPECT_TRUE(same_bits(sum, whole));
    // The twin: rows of +0, as a masked fill gives, lose the sign of a zero.
    EXPECT_FALSE(same_bits(sum + at::zeros_like(sum), whole));
  }
}

TEST(Embedding, WgradSumsTheTokensOfARowInOrder) {
  const at::Tensor ids = at::tensor({int64_t{2}, int64_t{4}, int64_t{2}, int64_t{2}}).unsqueeze(0);
  at::Tensor dy = at::zeros({1, 4, 3});
  dy[0][0].fill_(1.0);
  dy[0][2].fill_(0x1p24);
  dy[0][3].fill_(-0x1p24);
  const at::Tensor dweight = embedding_wgrad(dy, ids, 5, 0);
  // (1 + 2^24) - 2^24 = 0 in float32; any other order gives 1.
  EXPECT_TRUE(same_bits(dweight, at::zeros({5, 3})));
  const at::Tensor reversed = embedding_wgrad(dy.flip(1), ids.flip(1), 5, 0);
  EXPECT_FALSE(same_bits(reversed, dweight));
}

TEST(Embedding, WgradOfRowShardsIsACutOfTheWhole) {
  for (const auto dtype : kDtypes) {
    const at::Tensor ids = random_ids(200, 24, 5);
    const at::Tensor dy = random_tensor({1, 200, 10}, dtype, 6);
    const at::Tensor whole = embedding_wgrad(dy, ids, 24, 0);
    for (const int64_t first : {0, 9, 18}) {
      const int64_t end = std::min<int64_t>(24, first + 9);
      EXPECT_TRUE(
          same_bits(embedding_wgrad(dy, ids, end - first, first), whole.slice(0, first, end)));
    }
    EXPECT_FALSE(same_bits(embedding_wgrad(dy, ids, 9, 1), whole.slice(0, 0, 9)));
    const at::Tensor exact =
        at::zeros({24, 10}, at::kDouble).index_add(0, ids[0], dy[0].to(at::kDouble));
    // About 8 tokens a row: 8 additions in float32.
    EXPECT_LT(testing::largest_error(whole, exact, 1.0), 32 * 0x1p-24);
  }
}

TEST(Embedding, IsTheSameOnAllIsas) {
  for (const auto dtype : kDtypes) {
    const at::Tensor weight = testing::hostile_tensor({6, 77}, dtype, 7);
    const at::Tensor ids = random_ids(60, 8, 8);
    const at::Tensor dy = testing::hostile_tensor({1, 60, 77}, dtype, 9);
    EXPECT_TRUE(testing::same_on_all_isas([&] {
      return std::vector<at::Tensor>{ops::embedding(ids, weight, 1),
                                     embedding_wgrad(dy, ids, 6, 1)};
    }));
  }
}

TEST(Embedding, AutogradGivesTheWgrad) {
  const at::Tensor weight = random_tensor({12, 4}, at::kBFloat16, 10).requires_grad_();
  const at::Tensor ids = random_ids(30, 12, 11);
  const at::Tensor dy = random_tensor({1, 30, 4}, at::kBFloat16, 12);
  ops::embedding(ids, weight, 0).backward(dy);
  EXPECT_TRUE(same_bits(weight.grad(), embedding_wgrad(dy, ids, 12, 0).to(at::kBFloat16)));
}

}  // namespace
}  // namespace samebits
