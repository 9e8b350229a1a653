#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <random>

#include "harness/kernels/flash_attention.h"
#include "tests/kernels/matrix_oracle.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::kDtypes;
using testing::random_tensor;
using testing::same_bits;
using testing::same_on_all_isas;
using testing::values_of;

struct Inputs {
  at::Tensor q, k, v, cu_seqlens;  // [1, T, H, D], [1, T, G, D] twice, [S + 1]
  double scale;

  at::Tensor out() const { return forward().first; }
  std::pair<at::Tensor, at::Tensor> forward() const {
    auto [out, lse] = cpu::flash_attention(q, k, v, cu_seqlens, scale);
    return {out, lse};
  }
};

at::Tensor boundaries(const std::vector<int32_t>& lengths) {
  std::vector<int32_t> ends{0};
  for (const int32_t length : lengths) ends.push_back(ends.back() + length);
  return at::tensor(ends, at::kInt);
}

Inputs make_inputs(const std::vector<int32_t>& lengths, int64_t heads, int64_t kv_heads,
                   int64_t dim, at::ScalarType dtype, uint64_t seed = 1) {
  const int64_t tokens = std::accumulate(lengths.begin(), lengths.end(), 0);
  return {random_tensor({1, tokens, heads, dim}, dtype, seed) * 2,
          random_tensor({1, tokens, kv_heads, dim}, dtype, seed + 1),
          random_tensor({1, tokens, kv_heads, dim}, dtype, seed + 2), boundaries(lengths),
          1.0 / std::sqrt(static_cast<double>(dim))};
}

// The statement of flash_attention.h for one query row, as plain loops. `tile` is 64 in the
// contract.
struct OracleRow {
  std::vector<float> out;
  float lse;
};

OracleRow oracle_row(const Inputs& in, int64_t start, int64_t position, int64_t head,
                     int64_t tile = cpu::kAttentionTile) {
  const auto dtype = in.q.scalar_type();
  const int64_t kv_head = head / (in.q.size(2) / in.k.size(2));
  const int64_t dim = in.q.size(3);
  const auto scale = static_cast<float>(in.scale);
  const std::vector<float> q = values_of(in.q[0][start + position][head]);
  float m = -std::numeric_limits<float>::infinity();
  float l = 0.0f;
  std::vector<float> o(dim, 0.0f);
  for (int64_t first = 0; first <= position; first += tile) {
    const int64_t end = std::min(first + tile, position + 1);
    std::vector<float> s;
    float m_new = m;
    for (int64_t j = first; j < end; ++j) {
      const float chain =
          testing::oracle_chain(0.0f, q, values_of(in.k[0][start + j][kv_head]), dtype);
      s.push_back(chain * scale);
      m_new = s.back() > m_new ? s.back() : m_new;
    }
    const float alpha = exp_f32(m - m_new);
    float t[8] = {};
    std::vector<float> p;
    for (size_t j = 0; j < s.size(); ++j) {
      const float e = exp_f32(s[j] - m_new);
      t[j % 8] += e;
      p.push_back(dtype == at::kFloat ? e : round_to_bf16(e));
    }
    l = l * alpha + (((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7])));
    for (int64_t d = 0; d < dim; ++d) {
      std::vector<float> v;
      for (int64_t j = first; j < end; ++j) {
        v.push_back(values_of(in.v[0][start + j][kv_head].slice(0, d, d + 1))[0]);
      }
      o[d] = testing::oracle_chain(o[d] * alpha, p, v, dtype);
    }
    m = m_new;
  }
  for (float& x : o) x = x / l;
  return {o, canonical_nan_f32(m + log_f32(l))};
}

bool row_is(const at::Tensor& out, int64_t token, int64_t head, const OracleRow& row) {
  const at::Tensor expected =
      testing::oracle_round(at::tensor(row.out, at::kFloat), out.scalar_type());
  return same_bits(out[0][token][head], expected);
}

TEST(Attention, IsItsStatementOnEveryInstructionSet) {
  for (const auto dtype : kDtypes) {
    const Inputs in = make_inputs({70, 1, 20}, 4, 2, 40, dtype);
    for (const Isa isa : supported_isas()) {
      const IsaOverride guard(isa);
      const auto [out, lse] = in.forward();
      for (const auto& [start, position] : std::vector<std::pair<int64_t, int64_t>>{
               {0, 0}, {0, 15}, {0, 16}, {0, 63}, {0, 64}, {0, 69}, {70, 0}, {71, 19}}) {
        for (const int64_t head : {0, 3}) {
          const OracleRow row = oracle_row(in, start, position, head);
          EXPECT_TRUE(row_is(out, start + position, head, row))
              << name_of(isa) << " " << start << " + " << position;
          EXPECT_EQ(f32_bits(lse[0][start + position][head].item<float>()), f32_bits(row.lse));
        }
      }
      // The control: tiles of another length are another sum.
      EXPECT_FALSE(row_is(out, 69, 0, oracle_row(in, 0, 69, 0, /*tile=*/32)));
    }
  }
}

// A sequence cut into chunks of queries, keys in pages of a shuffled cache whose other rows hold
// NaN.
struct Paged {
  at::Tensor k_cache, v_cache, block_table;

  Paged(const Inputs& in, int64_t page_rows, uint64_t seed) {
    const auto* ends = in.cu_seqlens.const_data_ptr<int32_t>();
    const int64_t sequences = in.cu_seqlens.size(0) - 1;
    const int64_t most = (in.q.size(1) + page_rows - 1) / page_rows;
    const int64_t pages = sequences * most + 3;
    const auto options = at::TensorOptions().dtype(in.q.scalar_type());
    k_cache = at::full({pages, page_rows, in.k.size(2), in.k.size(3)}, NAN, options);
    v_cache = k_cache.clone();
    block_table = at::randperm(pages, testing::seeded(seed))
                      .slice(0, 0, sequences * most)
                      .to(at::kInt)
                      .view({sequences, most});
    std::vector<int64_t> slots;
    for (int64_t s = 0; s < sequences; ++s) {
      for (int64_t i = 0; i < ends[s + 1] - ends[s]; ++i) {
        slots.push_back(block_table[s][i / page_rows].item<int64_t>() * page_rows + i % page_rows);
      }
    }
    cpu::write_kv(k_cache, v_cache, in.k, in.v, at::tensor(slots, at::kLong));
  }

  // Queries first .. first + count of the sequence number `s`, together with all of the others.
  at::Tensor run(const Inputs& in, int64_t s, int64_t first, int64_t count) const {
    const auto* ends = in.cu_seqlens.const_data_ptr<int32_t>();
    std::vector<at::Tensor> q;
    std::vector<int32_t> counts;
    std::vector<int32_t> lengths;
    int64_t offset = 0;
    for (int64_t i = 0; i + 1 < in.cu_seqlens.size(0); ++i) {
      const int64_t length = ends[i + 1] - ends[i];
      if (i < s) offset += length;
      const int64_t from = i == s ? first : 0;
      const int64_t n = i == s ? count : length;
      q.push_back(in.q.narrow(1, ends[i] + from, n));
      counts.push_back(n);
      lengths.push_back(from + n);
    }
    const at::Tensor out =
        cpu::paged_attention(at::cat(q, 1), k_cache, v_cache, block_table, boundaries(counts),
                             at::tensor(lengths, at::kInt), in.scale);
    return out.narrow(1, offset, count);
  }
};

TEST(Attention, PrefillDecodeChunksAndPagesAreTheSameBits) {
  for (const auto dtype : kDtypes) {
    const Inputs in = make_inputs({5, 130, 64}, 6, 2, 32, dtype);
    const at::Tensor whole = in.out();
    const at::Tensor expected = whole.narrow(1, 5, 130);
    for (const int64_t page_rows : {1, 7, 16, 64}) {
      const Paged paged(in, page_rows, page_rows);
      EXPECT_TRUE(same_bits(paged.run(in, 1, 0, 130), expected)) << page_rows;
      for (const int64_t position : {0, 14, 15, 16, 63, 64, 100, 127, 129}) {
        EXPECT_TRUE(same_bits(paged.run(in, 1, position, 1), expected.narrow(1, position, 1)))
            << "decode at " << position << ", pages of " << page_rows;
      }
    }
    const Paged paged(in, 16, 99);
    for (const int64_t chunk : {3, 16, 50, 64}) {
      for (int64_t first = 0; first < 130; first += chunk) {
        const int64_t count = std::min<int64_t>(chunk, 130 - first);
        EXPECT_TRUE(same_bits(paged.run(in, 1, first, count), expected.narrow(1, first, count)));
      }
    }
    // Alone, without neighbours.
    const Inputs alone{in.q.narrow(1, 5, 130), in.k.narrow(1, 5, 130), in.v.narrow(1, 5, 130),
                       boundaries({130}), in.scale};
    EXPECT_TRUE(same_bits(alone.out(), expected));
    // The control: one key more or less is another result.
    EXPECT_FALSE(same_bits(paged.run(in, 1, 63, 1), expected.narrow(1, 64, 1)));
  }
}

TEST(Attention, MaskedKeysAreNeverReadIn) {
  for (const auto dtype : kDtypes) {
    const Inputs in = make_inputs({90}, 4, 1, 16, dtype);
    const at::Tensor clean = in.out();
    for (const float poison : {INFINITY, NAN}) {
      Inputs spoiled = in;
      spoiled.k = in.k.clone();
      spoiled.v = in.v.clone();
      spoiled.k[0][70].fill_(poison);
      spoiled.v[0][70].fill_(poison);
      for (const Isa isa : supported_isas()) {
        const IsaOverride guard(isa);
        const at::Tensor out = spoiled.out();
        EXPECT_TRUE(same_bits(out.narrow(1, 0, 70), clean.narrow(1, 0, 70))) << name_of(isa);
        EXPECT_FALSE(same_bits(out.narrow(1, 70, 20), clean.narrow(1, 70, 20))) << "the control";
      }
    }
  }
}

std::vector<at::Tensor> gradients(const Inputs& in, const at::Tensor& dout) {
  const auto [out, lse] = in.forward();
  auto [dq, dk, dv] =
      cpu::flash_attention_backward(dout, in.q, in.k, in.v, out, lse, in.cu_seqlens, in.scale);
  return {out, lse, dq, dk, dv};
}

TEST(Attention, AllInstructionSetsAgree) {
  for (const auto dtype : kDtypes) {
    for (const auto& [heads, kv_heads, dim] :
         std::vector<std::array<int64_t, 3>>{{4, 4, 64}, {6, 2, 128}, {3, 1, 24}, {2, 1, 7}}) {
      Inputs in = make_inputs({33, 1, 0, 140}, heads, kv_heads, dim, dtype, dim);
      const at::Tensor dout = random_tensor(in.q.sizes(), dtype, 9);
      EXPECT_TRUE(same_on_all_isas([&] { return gradients(in, dout); })) << dim;
      // With a few arbitrary bit patterns.
      const auto spike = [&](const at::Tensor& x, uint64_t seed) {
        return at::where(at::rand(x.sizes(), testing::seeded(seed)) < 0.001,
                         testing::hostile_tensor(x.sizes(), dtype, seed), x);
      };
      in.q = spike(in.q, 11);
      in.k = spike(in.k, 12);
      in.v = spike(in.v, 13);
      EXPECT_TRUE(same_on_all_isas([&] { return gradients(in, dout); })) << dim;
    }
  }
}

TEST(Attention, GradientsOfASequenceDoNotDependOnNeighboursOrThreads) {
  const int threads = at::get_num_threads();
  for (const auto dtype : kDtypes) {
    const Inputs in = make_inputs({20, 100}, 4, 2, 32, dtype);
    const at::Tensor dout = random_tensor(in.q.sizes(), dtype, 9);
    const auto both = gradients(in, dout);
    const Inputs alone{in.q.narrow(1, 20, 100), in.k.narrow(1, 20, 100), in.v.narrow(1, 20, 100),
                       boundaries({100}), in.scale};
    const auto one = gradients(alone, dout.narrow(1, 20, 100));
    for (size_t i = 0; i < one.size(); ++i) {
      EXPECT_TRUE(same_bits(one[i], both[i].narrow(1, 20, 100))) << i;
      EXPECT_FALSE(same_bits(one[i].narrow(1, 0, 20), both[i].narrow(1, 0, 20))) << "the control";
    }
    for (const int count : {1, 3}) {
      at::set_num_threads(count);
      EXPECT_TRUE(same_bits(gradients(in, dout), both));
    }
    at::set_num_threads(threads);
  }
}

// Rows past the last sequence move nothing, whatever they hold, and are +0 in all results. The
// control has a sequence there.
TEST(Attention, PaddingIsOfNoSequence) {
  for (const auto dtype : kDtypes) {
    const Inputs in = make_inputs({20, 100}, 4, 2, 32, dtype);
    const at::Tensor dout = random_tensor(in.q.sizes(), dtype, 9);
    const auto padded = [](const at::Tensor& x, double value) {
      std::vector<int64_t> sizes = x.sizes().vec();
      sizes[1] = 7;
      return at::cat({x, at::full(sizes, value, x.options())}, 1);
    };
    Inputs more{padded(in.q, NAN), padded(in.k, NAN), padded(in.v, NAN), in.cu_seqlens, in.scale};
    const auto check = [&] {
      bool equal = same_bits(more.forward().first, padded(in.forward().first, 0)) &&
                   same_bits(more.forward().second, padded(in.forward().second, 0));
      const auto found = gradients(more, padded(dout, NAN)), expected = gradients(in, dout);
      for (size_t i = 0; equal && i < found.size(); ++i) {
        equal = same_bits(found[i], padded(expected[i], 0));
      }
      return equal;
    };
    EXPECT_TRUE(check());
    more.cu_seqlens = boundaries({20, 107});
    EXPECT_FALSE(check());
  }
}

// One head's attention and its gradients in double, from the textbook formulas.
std::vector<at::Tensor> in_double(const Inputs& in, const at::Tensor& dout) {
  const int64_t tokens = in.q.size(1);
  const int64_t group = in.q.size(2) / in.k.size(2);
  const auto heads_first = [](const at::Tensor& x) { return x[0].transpose(0, 1).to(at::kDouble); };
  const at::Tensor q = heads_first(in.q);
  const at::Tensor k = heads_first(in.k).repeat_interleave(group, 0);
  const at::Tensor v = heads_first(in.v).repeat_interleave(group, 0);
  const at::Tensor g = heads_first(dout);
  const at::Tensor mask = at::ones({tokens, tokens}).triu(1).to(at::kBool);
  const at::Tensor s = (at::matmul(q, k.transpose(1, 2)) * in.scale).masked_fill(mask, -INFINITY);
  const at::Tensor p = at::softmax(s, -1);
  const at::Tensor out = at::matmul(p, v);
  const at::Tensor dp = at::matmul(g, v.transpose(1, 2));
  const at::Tensor ds = p * (dp - (g * out).sum(-1, /*keepdim=*/true)) * in.scale;
  const auto back = [&](const at::Tensor& x) { return x.transpose(0, 1).unsqueeze(0); };
  const auto summed = [&](const at::Tensor& x) {
    return back(x.view({in.k.size(2), group, tokens, -1}).sum(1));
  };
  return {back(out), at::logsumexp(s, -1).transpose(0, 1).unsqueeze(0), back(at::matmul(ds, k)),
          summed(at::matmul(ds.transpose(1, 2), q)), summed(at::matmul(p.transpose(1, 2), g))};
}

// The bound is relative to the largest value: in float32 about a hundred roundings of 2^-24 and the
// exponential of a score of about 10 with an error of 2^-21; in bf16 the rounding of P and dS
// (2^-9) dominates, weighted by sums of about ten terms of the same size.
TEST(Attention, IsTheTextbooksWithinItsRoundings) {
  for (const auto dtype : kDtypes) {
    const Inputs in = make_inputs({100}, 4, 2, 32, dtype);
    const at::Tensor dout = random_tensor(in.q.sizes(), dtype, 9);
    const auto got = gradients(in, dout);
    const auto want = in_double(in, dout);
    const double bound = dtype == at::kFloat ? 0x1p-17 : 0x1p-6;
    for (size_t i = 0; i < got.size(); ++i) {
      const double largest = want[i].abs().max().item<double>();
      const double error = (got[i].to(at::kDouble) - want[i]).abs().max().item<double>();
      EXPECT_LE(error, bound * largest) << "output " << i;
      const double wrong = (got[i].to(at::kDouble) - want[i].flip(1)).abs().max().item<double>();
      EXPECT_GT(wrong, bound * largest) << "the control: tokens in another order";
    }
  }
}

TEST(Attention, WriteKvSkipsPaddingAndRefusesWhatIsOutside) {
  const at::Tensor k = random_tensor({1, 3, 2, 4}, at::kFloat, 1);
  const at::Tensor v = random_tensor({1, 3, 2, 4}, at::kFloat, 2);
  at::Tensor k_cache = at::zeros({2, 2, 2, 4});
  at::Tensor v_cache = at::zeros({2, 2, 2, 4});
  cpu::write_kv(k_cache, v_cache, k, v, at::tensor({3, -1, 0}, at::kLong));
  EXPECT_TRUE(same_bits(k_cache.view({4, 2, 4})[3], k[0][0]));
  EXPECT_TRUE(same_bits(v_cache.view({4, 2, 4})[0], v[0][2]));
  EXPECT_EQ(k_cache.view({4, 8}).abs().sum(1).count_nonzero().item<int64_t>(), 2);
  EXPECT_THROW(cpu::write_kv(k_cache, v_cache, k, v, at::tensor({0, 1, 4}, at::kLong)), c10::Error);
  EXPECT_THROW(cpu::write_kv(k_cache, v_cache, k, v, at::tensor({0, 1, -2}, at::kLong)),
               c10::Error);
}

TEST(Attention, RefusesWhatDoesNotMeet) {
  const Inputs in = make_inputs({8}, 4, 2, 8, at::kFloat);
  const auto run = [&](const at::Tensor& q, const at::Tensor& k, const at::Tensor& ends) {
    cpu::flash_attention(q, k, k, ends, 1.0);
  };
  run(in.q, in.k, in.cu_seqlens);
  EXPECT_THROW(run(in.q, in.k.narrow(1, 0, 7), in.cu_seqlens), c10::Error);
  EXPECT_THROW(run(in.q.narrow(2, 0, 3), in.k, in.cu_seqlens), c10::Error);
  EXPECT_THROW(run(in.q, in.k.to(at::kBFloat16), in.cu_seqlens), c10::Error);
  EXPECT_THROW(run(in.q, in.k, boundaries({9})), c10::Error);
  EXPECT_THROW(run(in.q, in.k, at::tensor({0, 9, 8}, at::kInt)), c10::Error);
  const Paged paged(in, 4, 1);
  EXPECT_THROW(cpu::paged_attention(in.q, paged.k_cache, paged.v_cache, paged.block_table,
                                    in.cu_seqlens, at::tensor({7}, at::kInt), 1.0),
               c10::Error);
  EXPECT_THROW(cpu::paged_attention(in.q, paged.k_cache, paged.v_cache, paged.block_table + 100,
                                    in.cu_seqlens, at::tensor({8}, at::kInt), 1.0),
               c10::Error);
}

}  // namespace
}  // namespace samebits
