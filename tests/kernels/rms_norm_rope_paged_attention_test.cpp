#include "harness/kernels/rms_norm_rope_paged_attention.h"

#include <gtest/gtest.h>

#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::kDtypes;
using testing::list;
using testing::random_tensor;
using testing::same_bits;
using Tensors = std::vector<at::Tensor>;

constexpr double kEps = 1e-6;
constexpr double kScale = 0.25;

// Three sequences; the second has several tokens. The step writes the last keys of the others, and
// nothing for the first, one of whose older keys it writes instead.
struct Inputs {
  explicit Inputs(int64_t dim, at::ScalarType dtype, bool hostile = false) {
    const auto make = hostile ? testing::hostile_tensor : random_tensor;
    q = make({1, 5, 6, dim}, dtype, 1);
    q_weight = random_tensor({dim}, dtype, 2);
    k = make({1, 5, 3, dim}, dtype, 3);
    k_weight = random_tensor({dim}, dtype, 4);
    cos = random_tensor({20, dim / 2}, at::kFloat, 5);
    sin = random_tensor({20, dim / 2}, at::kFloat, 6);
    k_cache = make({12, 8, 3, dim}, dtype, 7);
    v_cache = make({12, 8, 3, dim}, dtype, 8);
    v = make({1, 5, 3, dim}, dtype, 9);
  }
  at::Tensor q, q_weight, k, k_weight, cos, sin, k_cache, v_cache, v;
  at::Tensor positions = at::tensor({3, 0, 19, 7, 7}).to(at::kLong).view({1, 5});
  at::Tensor slots = at::tensor({-1, 40, 41, 3, 90}).to(at::kLong);
  at::Tensor block_table = at::tensor({0, 1, 5, 6, 11, 2}, at::kInt).view({3, 2});
  at::Tensor cu_seqlens = at::tensor({0, 1, 4, 5}, at::kInt);
  at::Tensor seq_lens = at::tensor({9, 4, 3}, at::kInt);
};

// All results and both caches, which are written in copies.
Tensors fused(const Inputs& in) {
  const at::Tensor k_cache = in.k_cache.clone();
  const at::Tensor v_cache = in.v_cache.clone();
  Tensors found = list(ops::rms_norm_rope_paged_attention_(
      in.q, in.q_weight, in.k, in.k_weight, kEps, in.cos, in.sin, in.positions, k_cache, v_cache,
      in.v, in.slots, in.block_table, in.cu_seqlens, in.seq_lens, kScale));
  found.push_back(k_cache);
  found.push_back(v_cache);
  return found;
}

// With `reads_first`, attention reads the caches before they are written.
Tensors apart(const Inputs& in, bool reads_first = false) {
  const at::Tensor k_cache = in.k_cache.clone();
  const at::Tensor v_cache = in.v_cache.clone();
  Tensors found =
      list(ops::rms_norm_rope_qk_write_kv_(in.q, in.q_weight, in.k, in.k_weight, kEps, in.cos,
                                           in.sin, in.positions, k_cache, v_cache, in.v, in.slots));
  found.push_back(ops::paged_attention(found[1], reads_first ? in.k_cache : k_cache,
                                       reads_first ? in.v_cache : v_cache, in.block_table,
                                       in.cu_seqlens, in.seq_lens, kScale));
  found.push_back(k_cache);
  found.push_back(v_cache);
  return found;
}

TEST(RmsNormRopePagedAttention, HasTheBitsOfTheTwoOperators) {
  for (const auto dtype : kDtypes) {
    for (const int64_t dim : {2, 34, 64, 128}) {
      for (const bool hostile : {false, true}) {
        const Inputs in(dim, dtype, hostile);
        EXPECT_TRUE(same_bits(fused(in), apart(in)));
      }
    }
    // The controls: reading before writing, and values for keys.
    Inputs in(16, dtype);
    const Tensors expected = fused(in);
    const Tensors early = apart(in, /*reads_first=*/true);
    for (int64_t token = 0; token < 5; ++token) {  // each reads what some token writes
      EXPECT_FALSE(same_bits(early[4][0][token], expected[4][0][token])) << token;
    }
    std::swap(in.k, in.v);
    EXPECT_FALSE(same_bits(fused(in), expected));
  }
}

TEST(RmsNormRopePagedAttention, IsTheSameOnAllIsas) {
  for (const auto dtype : kDtypes) {
    const Inputs in(34, dtype);
    EXPECT_TRUE(testing::same_on_all_isas([&] { return fused(in); }));
  }
}

TEST(RmsNormRopePagedAttention, RefusesInTheWordsOfItsParts) {
  const auto error_of = [](const Inputs& in) -> std::string {
    try {
      fused(in);
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
    return "no error";
  };
  Inputs in(16, at::kFloat);
  in.positions = at::tensor({0, 20, 1, 1, 1}).to(at::kLong).view({1, 5});
  EXPECT_NE(error_of(in).find("token 1 has position 20, expected one in [0, 20)"),
            std::string::npos);
  in = Inputs(16, at::kFloat);
  in.slots[1] = 96;
  EXPECT_NE(error_of(in).find("slots[1] is 96, expected -1 to 95"), std::string::npos);
  in = Inputs(16, at::kFloat);
  in.seq_lens[1] = 2;
  EXPECT_NE(error_of(in).find("sequence 1 has 2 keys, expected at least its 3 queries"),
            std::string::npos);
}

}  // namespace
}  // namespace samebits
