// NOTE [The gradient of a step]: every cut of a group into micro-batches against loops over its
// sequences, under every instruction set, with values of all kinds. Each rule has a fault beside it
// that the comparison sees.

#include "harness/kernels/step_gradient.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "harness/kernels/rms_norm.h"
#include "tests/kernels/draw.h"
#include "tests/kernels/gradients.h"
#include "tests/kernels/matrix_oracle.h"
#include "tests/kernels/tensors.h"

namespace samebits {
namespace {

using testing::Draw;
using testing::oracle_chain;
using testing::same_bits;
using testing::starts_of;
using testing::values_of;

constexpr double kEps = 1e-6;

// Sequences of one group, one after the other, and how they are cut into micro-batches: both begin
// with 0 and end with the whole.
struct PackedGroup {
  std::vector<int64_t> starts;
  std::vector<int64_t> cuts;  // of the sequences
};

std::vector<int64_t> random_starts(Draw& d) {
  std::vector<int64_t> starts = {0};
  for (int64_t left = d.between(1, 6); left > 0; --left) {
    starts.push_back(starts.back() + d.one_of<int64_t>({0, 1, 5, 15, 16, 17, 31, 40}));
  }
  return starts;
}

std::vector<int64_t> random_cuts(Draw& d, int64_t sequences) {
  std::set<int64_t> cuts = {0, sequences};
  for (int64_t more = d.between(0, 3); more > 0; --more) cuts.insert(d.between(0, sequences));
  return {cuts.begin(), cuts.end()};
}

PackedGroup random_group(Draw& d) {
  const std::vector<int64_t> starts = random_starts(d);
  return {starts, random_cuts(d, static_cast<int64_t>(starts.size()) - 1)};
}

// f(the micro-batch's first token, its tokens, its own starts)
template <typename F>
void for_each_micro_batch(const PackedGroup& group, F f) {
  for (size_t i = 0; i + 1 < group.cuts.size(); ++i) {
    std::vector<int64_t> starts;
    const int64_t first = group.starts[group.cuts[i]];
    for (int64_t s = group.cuts[i]; s <= group.cuts[i + 1]; ++s) {
      starts.push_back(group.starts[s] - first);
    }
    f(first, starts.back(), starts_of(starts));
  }
}

at::Tensor linear_oracle(const at::Tensor& dy, const at::Tensor& x,
                         const std::vector<int64_t>& starts) {
  at::Tensor sums = at::empty({dy.size(1), x.size(1)});
  for (int64_t n = 0; n < dy.size(1); ++n) {
    const std::vector<float> a = values_of(dy.select(1, n));
    for (int64_t k = 0; k < x.size(1); ++k) {
      const std::vector<float> b = values_of(x.select(1, k));
      float sum = 0.0f;
      for (size_t s = 0; s + 1 < starts.size(); ++s) {
        sum = oracle_chain(sum, {a.begin() + starts[s], a.begin() + starts[s + 1]},
                           {b.begin() + starts[s], b.begin() + starts[s + 1]}, x.scalar_type());
      }
      sums[n].mutable_data_ptr<float>()[k] = canonical_nan_f32(sum);
    }
  }
  return sums;
}

// Under sm90, another order of the tokens within a step is the same step, so sizes and values are
// such that a misplaced one shows.
TEST(StepGradient, ProductsAreOneChainWhereverTheyAreCut) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Draw d(seed, Draw::Sizes::kSmall);
    const PackedGroup group = random_group(d);
    const int64_t tokens = group.starts.back();
    for (const auto dtype : testing::kDtypes) {
      const at::Tensor dy = d.values({tokens, d.between(1, 40)}, dtype);
      const at::Tensor x = d.values({tokens, d.between(1, 40)}, dtype);
      const at::Tensor expected = linear_oracle(dy, x, group.starts);
      for (const Isa isa : supported_isas()) {
        const IsaOverride guard(isa);
        const at::Tensor sum = at::zeros_like(expected);
        for_each_micro_batch(group, [&](int64_t first, int64_t count, const at::Tensor& starts) {
          ops::linear_wgrad_(dy.narrow(0, first, count), x.narrow(0, first, count), starts, sum);
        });
        ASSERT_TRUE(same_bits(sum, expected)) << "seed " << seed << ", " << name_of(isa);
      }
    }
  }
}

// The faults: a step that goes on over the end of a sequence; and micro-batches that each begin at
// zero and are added, as an epilogue does it.
TEST(StepGradient, AChainThatIsNotBegunAnewOrNotGoneOnWithIsSeen) {
  const std::vector<int64_t> starts = {0, 21, 30, 57};
  const at::Tensor dy = testing::random_tensor({57, 24}, at::kBFloat16, 1);
  const at::Tensor x = testing::random_tensor({57, 40}, at::kBFloat16, 2);
  const at::Tensor expected = linear_oracle(dy, x, starts);
  EXPECT_TRUE(same_bits(testing::linear_wgrad(dy, x, starts_of(starts)), expected));
  EXPECT_FALSE(same_bits(testing::linear_wgrad(dy, x), expected));
  EXPECT_FALSE(same_bits(testing::linear_wgrad(dy, x, starts_of({0, 20, 30, 57})), expected));
  at::Tensor added = at::zeros_like(expected);
  for (size_t s = 0; s < 3; ++s) {
    const int64_t count = starts[s + 1] - starts[s];
    added = added +
            testing::linear_wgrad(dy.narrow(0, starts[s], count), x.narrow(0, starts[s], count));
  }
  EXPECT_FALSE(same_bits(added, expected));
}

// What a card does: every sequence filled up with zeros to whole steps, and some more at the end.
TEST(StepGradient, WholeStepsOfZerosChangeNothing) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    Draw d(seed, Draw::Sizes::kSmall);
    std::vector<int64_t> starts = random_starts(d);
    starts.push_back(starts.back() + 3);  // not nothing
    const at::Tensor dy = d.values({starts.back(), 9}, at::kBFloat16);
    const at::Tensor x = d.values({starts.back(), 33}, at::kBFloat16);
    const auto padded = [&](const at::Tensor& rows) {
      std::vector<at::Tensor> parts;
      for (size_t s = 0; s + 1 < starts.size(); ++s) {
        const int64_t count = starts[s + 1] - starts[s];
        parts.push_back(rows.narrow(0, starts[s], count));
        parts.push_back(at::zeros({(16 - count % 16) % 16, rows.size(1)}, rows.scalar_type()));
      }
      parts.push_back(at::zeros({16 * d.between(0, 2), rows.size(1)}, rows.scalar_type()));
      return at::cat(parts);
    };
    at::Tensor more = padded(x);
    at::Tensor dmore = padded(dy);
    const int64_t rows = std::min(more.size(0), dmore.size(0));
    EXPECT_TRUE(same_bits(testing::linear_wgrad(dmore.narrow(0, 0, rows), more.narrow(0, 0, rows)),
                          testing::linear_wgrad(dy, x, starts_of(starts))))
        << seed;
  }
}

// The sum over blocks of rows, and the gradient's own formula, as loops over what one row gives.
TEST(StepGradient, NormsHaveBlocksThatBeginAnewAtEachSequence) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Draw d(seed, Draw::Sizes::kSmall);
    const PackedGroup group = random_group(d);
    const int64_t heads = d.between(1, 3);
    const at::ScalarType dtype = d.dtype();
    const std::vector<int64_t> sizes = {1, group.starts.back(), heads, d.between(1, 40)};
    const at::Tensor dy = d.values(sizes, dtype);
    const at::Tensor x = d.values(sizes, dtype);
    // One row at a time adds its product to +0, which is the product.
    const auto of_row = [&](int64_t row) {
      const auto one = [&](const at::Tensor& t) {
        return t.view({-1, sizes.back()}).narrow(0, row, 1);
      };
      return testing::rms_norm_wgrad(one(dy), one(x), kEps);
    };
    at::Tensor expected = at::zeros({sizes.back()});
    for (size_t s = 0; s + 1 < group.starts.size(); ++s) {
      const int64_t end = group.starts[s + 1] * heads;
      for (int64_t row = group.starts[s] * heads; row < end;) {
        at::Tensor block = at::zeros({sizes.back()});
        for (int64_t i = 0; i < kRmsNormBlockRows && row < end; ++i) block += of_row(row++);
        expected += block;
      }
    }
    // NaNs of a sum have one pattern each, whatever made them.
    expected = at::where(expected.isnan(), at::full({}, std::nanf("")), expected);
    EXPECT_TRUE(testing::same_on_all_isas([&] {
      const at::Tensor sum = at::zeros({sizes.back()});
      for_each_micro_batch(group, [&](int64_t first, int64_t count, const at::Tensor& starts) {
        ops::rms_norm_wgrad_(dy.narrow(1, first, count), x.narrow(1, first, count), kEps, starts,
                             sum);
      });
      const at::Tensor found = at::where(sum.isnan(), at::full({}, std::nanf("")), sum);
      EXPECT_TRUE(same_bits(found, expected)) << seed;
      return std::vector<at::Tensor>{sum};
    })) << seed;
  }
  const at::Tensor x = testing::random_tensor({1, 60, 16}, at::kFloat, 3);
  const at::Tensor dy = testing::random_tensor({1, 60, 16}, at::kFloat, 4);
  const at::Tensor cut = testing::rms_norm_wgrad(dy, x, kEps, starts_of({0, 20, 60}));
  EXPECT_FALSE(same_bits(testing::rms_norm_wgrad(dy, x, kEps), cut)) << "blocks that go on";
  EXPECT_FALSE(same_bits(testing::rms_norm_wgrad(dy, x, kEps, starts_of({0, 21, 60})), cut));
}

TEST(StepGradient, AnEmbeddingAddsTokenAfterTokenWhereverItIsCut) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Draw d(seed, Draw::Sizes::kSmall);
    const PackedGroup group = random_group(d);
    const int64_t tokens = group.starts.back();
    const at::Tensor ids = d.integers({1, tokens}, 0, 7);
    const at::Tensor dy = d.values({1, tokens, 20}, d.dtype());
    const at::Tensor expected = testing::embedding_wgrad(dy, ids, 6, 1);
    const at::Tensor sum = at::zeros_like(expected);
    for_each_micro_batch(group, [&](int64_t first, int64_t count, const at::Tensor& starts) {
      ops::embedding_wgrad_(dy.narrow(1, first, count), ids.narrow(1, first, count), 1, starts,
                            sum);
    });
    EXPECT_TRUE(same_bits(sum, expected)) << seed;
  }
}

// Sequences in groups, all groups in one call.
struct Groups {
  std::vector<std::vector<int64_t>> starts;  // of each group, in all tokens
  at::Tensor rows;                           // the operators' argument
  int64_t tokens() const { return starts.back().back(); }
};

Groups random_groups(Draw& d, int64_t groups) {
  Groups made;
  size_t width = 0;
  int64_t first = 0;
  for (int64_t g = 0; g < groups; ++g) {
    std::vector<int64_t> starts = g % 3 == 2 ? std::vector<int64_t>{0} : random_starts(d);
    for (int64_t& start : starts) start += first;
    first = starts.back();
    width = std::max(width, starts.size());
    made.starts.push_back(starts);
  }
  std::vector<at::Tensor> rows;
  for (std::vector<int64_t> row : made.starts) {
    row.resize(width, row.back());
    rows.push_back(starts_of(row));
  }
  made.rows = at::stack(rows);
  return made;
}

// f(first token, tokens, starts of the group alone), each group from +0, joined by the tree.
template <typename F>
at::Tensor joined(const Groups& groups, F f) {
  std::vector<at::Tensor> waiting;
  for (size_t g = 0; g < groups.starts.size(); ++g) {
    std::vector<int64_t> own = groups.starts[g];
    for (int64_t& start : own) start -= groups.starts[g].front();
    at::Tensor sum = f(groups.starts[g].front(), own.back(), starts_of(own));
    for (int joins = joins_after_group(static_cast<int64_t>(g)); joins > 0; --joins) {
      sum = waiting.back() + sum;
      waiting.pop_back();
    }
    waiting.push_back(sum);
  }
  return waiting.at(0);
}

// NaNs of a sum have one pattern each.
bool same_sums(const at::Tensor& a, const at::Tensor& b) {
  const auto one_nan = [](const at::Tensor& x) {
    return at::where(x.isnan(), at::full({}, std::nanf("")), x);
  };
  return same_bits(one_nan(a), one_nan(b));
}

TEST(StepGradient, GroupsOfOneCallAreTheTreeOfTheirOwnSums) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Draw d(seed, Draw::Sizes::kSmall);
    const Groups groups = random_groups(d, d.one_of<int64_t>({1, 2, 4, 8, 16}));
    const int64_t tokens = groups.tokens();
    const at::ScalarType dtype = d.dtype();
    const int64_t rows = 7;
    const int64_t width = d.between(1, 40);
    const at::Tensor dy = d.values({1, tokens, width}, dtype);
    const at::Tensor x = d.values({1, tokens, d.between(1, 40)}, dtype);
    const at::Tensor ids = d.integers({1, tokens}, 0, rows);
    const bool is_one = groups.starts.size() == 1;
    // What the sum held is not read, but where there is one group.
    const auto held = [&](at::IntArrayRef sizes) {
      return is_one ? at::zeros(sizes) : at::full(sizes, 3.0f);
    };

    const at::Tensor product = held({width, x.size(2)});
    ops::linear_wgrad_(dy, x, groups.rows, product);
    const at::Tensor chains = joined(groups, [&](int64_t first, int64_t count, const auto& own) {
      return testing::linear_wgrad(dy.narrow(1, first, count), x.narrow(1, first, count), own);
    });
    EXPECT_TRUE(same_sums(product, chains)) << seed;

    const at::Tensor norm = held({width});
    ops::rms_norm_wgrad_(dy, dy.flip(1), kEps, groups.rows, norm);
    EXPECT_TRUE(same_sums(norm, joined(groups,
                                       [&](int64_t first, int64_t count, const auto& own) {
                                         return testing::rms_norm_wgrad(
                                             dy.narrow(1, first, count),
                                             dy.flip(1).narrow(1, first, count), kEps, own);
                                       })))
        << seed;

    const auto of_tokens = [&](int64_t first, int64_t count, const auto& own) {
      return testing::embedding_wgrad(dy.narrow(1, first, count), ids.narrow(1, first, count), rows,
                                      1, own);
    };
    const at::Tensor table = at::zeros({rows, width});
    ops::embedding_wgrad_(dy, ids, 1, groups.rows, table);
    EXPECT_TRUE(same_sums(table, joined(groups, of_tokens))) << seed;

    // A head of the same weight, whose rows are the tokens again.
    const at::Tensor dlogits = d.values({1, tokens, rows}, dtype);
    const at::Tensor both = held({rows, width});
    const at::Tensor head = at::zeros({rows, width});
    ops::tied_wgrad_(dy, ids, 1, groups.rows, dlogits, dy, groups.rows, both, head);
    const at::Tensor tied = joined(groups, [&](int64_t first, int64_t count, const auto& own) {
      return of_tokens(first, count, own) + testing::linear_wgrad(dlogits.narrow(1, first, count),
                                                                  dy.narrow(1, first, count), own);
    });
    if (is_one) both.add_(head);
    EXPECT_TRUE(same_sums(both, tied)) << seed;
    EXPECT_EQ(head.count_nonzero().item<int64_t>() == 0, !is_one || tokens == 0) << seed;
  }
}

TEST(StepGradient, GroupsOfAnotherEdgeAreSeenAndThoseThatAreNoneAreRefused) {
  const at::Tensor x = testing::random_tensor({1, 40, 8}, at::kBFloat16, 1);
  const auto product = [&](const at::Tensor& starts) {
    return testing::linear_wgrad(x, x, starts);
  };
  const at::Tensor edge = product(at::stack({starts_of({0, 16}), starts_of({16, 40})}));
  EXPECT_FALSE(same_bits(edge, product(at::stack({starts_of({0, 17}), starts_of({17, 40})}))));
  EXPECT_FALSE(same_bits(edge, product(starts_of({0, 16, 40}))));
  EXPECT_THROW(product(at::stack({starts_of({0, 15}), starts_of({16, 40})})), c10::Error);
  EXPECT_THROW(product(at::stack({starts_of({0, 9}), starts_of({9, 9}), starts_of({9, 40})})),
               c10::Error);
  EXPECT_THROW(product(starts_of({0, 40}).view({1, 1, 2})), c10::Error);
}

// Tokens past the last sequence, whatever they hold. The control makes one of them a sequence's.
TEST(StepGradient, PaddingIsOfNoSequence) {
  const int64_t rows = 11, width = 24;
  for (const auto dtype : testing::kDtypes) {
    for (const at::Tensor& starts :
         {starts_of({0, 21, 30, 57}),
          at::stack({starts_of({0, 21, 30}), starts_of({30, 57, 57})})}) {
      const auto padded = [](const at::Tensor& x) {
        std::vector<int64_t> sizes = x.sizes().vec();
        sizes[1] = 6;
        return at::cat({x, at::full(sizes, NAN, x.options())}, 1);
      };
      const at::Tensor dy = testing::random_tensor({1, 57, width}, dtype, 1);
      const at::Tensor x = testing::random_tensor({1, 57, width}, dtype, 2);
      const at::Tensor dlogits = testing::random_tensor({1, 57, rows}, dtype, 3);
      const at::Tensor ids = at::arange(57).view({1, 57}) % 9 + 1;  // 0 and 10 are of padding alone
      const at::Tensor more_ids = at::cat({ids, at::tensor({0, 0, 3, 10, 1, 0}).view({1, 6})}, 1);
      const auto sums = [&](const at::Tensor& dy, const at::Tensor& x, const at::Tensor& dlogits,
                            const at::Tensor& ids, const at::Tensor& starts) {
        const at::Tensor product = at::zeros({width, width}), norm = at::zeros({width});
        const at::Tensor table = at::zeros({rows, width}), both = at::zeros({rows, width});
        const at::Tensor head = at::zeros({rows, width});
        ops::linear_wgrad_(dy, x, starts, product);
        ops::rms_norm_wgrad_(dy, x, kEps, starts, norm);
        ops::embedding_wgrad_(dy, ids, 0, starts, table);
        ops::tied_wgrad_(dy, ids, 0, starts, dlogits, x, starts, both, head);
        return std::vector<at::Tensor>{product, norm, table, both, head};
      };
      const auto expected = sums(dy, x, dlogits, ids, starts);
      const auto of_padded = [&](const at::Tensor& starts) {
        return sums(padded(dy), padded(x), padded(dlogits), more_ids, starts);
      };
      EXPECT_TRUE(same_bits(of_padded(starts), expected));
      const at::Tensor one_more = starts.clone();
      one_more.view({-1})[-1] += 1;
      const auto reached = of_padded(one_more);
      for (size_t i = 0; i < 4; ++i) EXPECT_FALSE(same_bits(reached[i], expected[i])) << i;
    }
  }
}

TEST(StepGradient, WhatIsNoStartsIsRefused) {
  const at::Tensor x = at::zeros({1, 9, 4});
  const auto product = [&](const at::Tensor& starts) { testing::linear_wgrad(x, x, starts); };
  const auto norm = [&](const at::Tensor& starts) { testing::rms_norm_wgrad(x, x, kEps, starts); };
  EXPECT_NO_THROW(product(starts_of({0, 4, 4, 9})));
  for (const auto& starts :
       std::vector<std::vector<int64_t>>{{0, 4, 10}, {1, 9}, {0, 5, 4, 9}, {}}) {
    EXPECT_THROW(product(starts_of(starts)), c10::Error);
    EXPECT_THROW(norm(starts_of(starts)), c10::Error);
  }
  EXPECT_THROW(product(at::tensor({0, 9}, at::kLong)), c10::Error);
  EXPECT_THROW(testing::rms_norm_wgrad(x[0], x[0], kEps, starts_of({0, 9})), c10::Error);
  EXPECT_THROW(ops::linear_wgrad_(x, x, std::nullopt, at::zeros({4, 4}, at::kBFloat16)),
               c10::Error);
  EXPECT_THROW(ops::linear_wgrad_(x, x, std::nullopt, at::zeros({4, 8}).slice(1, 0, 8, 2)),
               c10::Error);
}

TEST(StepGradient, GroupsCoverEverySequenceOnceInOrder) {
  for (const int64_t groups : {1, 2, 4, 8, 16}) {
    for (int64_t n = 0; n < 70; ++n) {
      EXPECT_EQ(first_of_group(0, n, groups), 0);
      EXPECT_EQ(first_of_group(groups, n, groups), n);
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t size = first_of_group(g + 1, n, groups) - first_of_group(g, n, groups);
        EXPECT_TRUE(size == n / groups || size == (n + groups - 1) / groups) << n << " " << g;
      }
    }
  }
  EXPECT_EQ(first_of_group(1, 6, 8), 0) << "an empty one";
  EXPECT_EQ(first_of_group(3, 6, 8), 2);
}

TEST(StepGradient, JoinsAsGroupsComeAreTheTree) {
  for (const int64_t groups : {1, 2, 4, 8, 16}) {
    std::vector<float> sums;
    std::vector<float> waiting;
    size_t most = 0;
    for (int64_t g = 0; g < groups; ++g) {
      sums.push_back(std::ldexp(1.0f + static_cast<float>(g % 5) * 0.3f, static_cast<int>(g * 3)));
      float sum = sums.back();
      for (int joins = joins_after_group(g); joins > 0; --joins) {
        sum = waiting.back() + sum;
        waiting.pop_back();
      }
      waiting.push_back(sum);
      most = std::max(most, waiting.size());
    }
    ASSERT_EQ(waiting.size(), 1u);
    EXPECT_EQ(waiting[0], testing::oracle_tree(sums));
    EXPECT_LE(most, static_cast<size_t>(std::log2(groups)) + 1);
  }
}

}  // namespace
}  // namespace samebits
