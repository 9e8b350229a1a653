#include "harness/graph/replayer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "harness/base/error.h"
#include "harness/capture/passes/split.h"
#include "harness/dispatch/dispatch_mode.h"
#include "harness/dispatch/operator_traits.h"
#include "harness/dtensor/dtensor.h"
#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"
#include "tests/support/replay_pools.h"

namespace samebits {
namespace {

using testing::random_tensor;
using testing::same_bits;

constexpr int64_t kPages = 6;
constexpr int64_t kPageRows = 4;
constexpr int64_t kHeadDim = 8;

// Decode attention: q = k = v looked up by id, one token a sequence. Marks what it computes.
class DecodeProgram {
 public:
  explicit DecodeProgram(c10::Device device)
      : table(random_tensor({10, kHeadDim}, at::kBFloat16, 1).to(device)),
        cache(random_tensor({kPages, kPageRows, 1, kHeadDim}, at::kBFloat16, 2).to(device)) {}

  std::vector<at::Tensor> operator()(const std::vector<at::Tensor>& in) const {
    const at::Tensor x = ops::embedding(in[0], table, 0).view({1, -1, 1, kHeadDim});
    ops::mark(x, "embedding");
    ops::write_kv(cache, cache, x, x, in[1]);
    const at::Tensor out = ops::paged_attention(x, cache, cache, in[2], in[3], in[4], 1.0);
    ops::mark(out, "attention");
    return {out.view({-1, kHeadDim})};
  }
  static std::vector<DynamicDim> dynamic_dims() {
    return {{0, 0, "tokens", 1}, {1, 0, "tokens", 1},     {2, 0, "sequences", 1},
            {2, 1, "blocks", 1}, {3, 0, "boundaries", 2}, {4, 0, "sequences", 1}};
  }
  static std::vector<BucketedInput> inputs(int64_t padding_slot = -1) {
    return {{at::kLong, {{1, 0}}, {0, 0}},
            {at::kLong, {{1, 0}}, {0, padding_slot}},
            {at::kInt, {{1, 0}, {0, 2}}, {0, 0}},
            {at::kInt, {{1, 1}}, {1, 0}},
            {at::kInt, {{1, 0}}, {0, 0}}};
  }

  at::Tensor table;
  at::Tensor cache;
};

// Listens to what a program marks.
class Marks final : public DispatchMode {
 public:
  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override {
    if (op.operator_name().name != "samebits::mark") {
      op.callBoxed(stack);
      return;
    }
    sites.push_back(torch::jit::pop(*stack).toStringRef());
    values.push_back(torch::jit::pop(*stack).toTensor());
  }
  std::vector<std::string> sites;
  std::vector<at::Tensor> values;
};

// Whether a run saw what a program marked itself.
bool agree(const ReplayDigests& digests, const Marks& marks) {
  if (digests.marks->size() != marks.sites.size()) return false;
  for (size_t i = 0; i < marks.sites.size(); ++i) {
    const passes::Mark& mark = (*digests.marks)[i];
    std::vector<int64_t> sizes;
    for (const sym::Expr& size : mark.meta.sizes) sizes.push_back(size.evaluate(digests.symbols));
    if (mark.site != marks.sites[i] || marks.values[i].sizes() != at::IntArrayRef(sizes) ||
        mark.meta.dtype != marks.values[i].scalar_type() ||
        !same_bits(digests.sums[static_cast<int64_t>(i)].cpu(),
                   ops::digest_sums(marks.values[i]).cpu())) {
      return false;
    }
  }
  return true;
}

class ReplayerTest : public testing::ReplayPoolTest {
 protected:
  void SetUp() override {
    ReplayPoolTest::SetUp();
    if (IsSkipped()) return;
    eager_.emplace(GetParam().device);
    replayed_.emplace(GetParam().device);
    captured_.emplace([this](const auto& in) { return (*replayed_)(in); },
                      DecodeProgram::dynamic_dims(), GuardPolicy::kKeep);
  }

  // `tokens` sequences, each with one page, whose next token has position 2.
  std::vector<at::Tensor> step(int64_t tokens) const {
    const at::Tensor pages = at::arange(1, tokens + 1, at::kInt);
    return on_device({at::arange(2, tokens + 2), pages.to(at::kLong) * kPageRows + 2,
                      pages.view({tokens, 1}), at::arange(tokens + 1, at::kInt),
                      at::full({tokens}, 3, at::kInt)});
  }
  std::vector<at::Tensor> eager(int64_t tokens) const { return (*eager_)(step(tokens)); }
  Marks marks_of(int64_t tokens) const {
    Marks marks;
    const DispatchModeGuard listening(marks);
    eager(tokens);
    return marks;
  }
  Replayer replayer(int64_t padding_slot = -1) {
    return Replayer("decode", *captured_, DecodeProgram::inputs(padding_slot), {Buckets({1, 4})},
                    pool_);
  }
  Replayer in_pieces() {
    std::vector<BucketedInput> inputs = DecodeProgram::inputs();
    for (const size_t i : {2, 3, 4}) inputs[i].is_dynamic = true;
    return Replayer("pieces", *captured_, inputs, {Buckets({1, 4})}, pool_, attention_operators());
  }

  std::optional<DecodeProgram> eager_, replayed_;
  std::optional<CapturedProgram> captured_;
};

TEST_P(ReplayerTest, GivesTheBitsOfEagerAtEveryFillOfABucket) {
  Replayer replayer = this->replayer();
  for (const int64_t tokens : {1, 2, 3, 4, 2, 1}) {
    EXPECT_TRUE(same_bits(replayer.run(step(tokens), {{tokens}, {tokens}}), eager(tokens)))
        << tokens;
    EXPECT_TRUE(same_bits(replayed_->cache, eager_->cache)) << tokens;
  }
  EXPECT_EQ(captured_->witness().traces, 1);
  EXPECT_EQ(captured_->witness().nodes_executed, 0);
  EXPECT_EQ(replayer.captures(), 2);
  EXPECT_EQ(replayer.witness().replays, 6);
  EXPECT_GE(replayer.witness().launches, 6 * 3);
  EXPECT_EQ(replayer.witness().dispatcher_calls, 0);
  EXPECT_EQ(replayer.witness().allocations, 0);
}

TEST_P(ReplayerTest, PaddingThatHasASlotIsSeen) {
  Replayer replayer = this->replayer(/*padding_slot=*/1);
  replayer.run(step(3), {{3}, {3}});
  eager(3);
  EXPECT_FALSE(same_bits(replayed_->cache, eager_->cache));
}

// A weight's gradient, as a trainer adds it where it lies: of x = a lookup with itself.
TEST_P(ReplayerTest, PaddingReachesNoGradientUnlessItIsOfASequence) {
  const at::Tensor& table = replayed_->table;
  const auto sum_of = [&](const BucketedInput::Linear& padding_of_starts) {
    const at::Tensor sum = at::zeros({kHeadDim, kHeadDim}, table.options().dtype(at::kFloat));
    CapturedProgram captured(
        [&](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
          const at::Tensor x = ops::embedding(in[0], table, 0);
          ops::linear_wgrad_(x, x, in[1], sum);
          return {x};
        },
        {{0, 0, "tokens", 1}, {1, 0, "boundaries", 2}}, GuardPolicy::kKeep);
    Replayer replayer("gradient", captured,
                      {{at::kLong, {{1, 0}}, {0, 0}}, {at::kInt, {{1, 1}}, padding_of_starts}},
                      {Buckets({8})}, pool_);
    const std::vector<at::Tensor> in =
        on_device({at::tensor({3, 4, 5}, at::kLong), at::tensor({0, 2, 3}, at::kInt)});
    replayer.run(in, {{3}, {3}});
    return sum.cpu();
  };
  const at::Tensor x = ops::embedding(at::tensor({3, 4, 5}, at::kLong), table.cpu(), 0);
  const at::Tensor expected = at::zeros({kHeadDim, kHeadDim});
  ops::linear_wgrad_(x, x, at::tensor({0, 2, 3}, at::kInt), expected);
  EXPECT_TRUE(same_bits(sum_of(/*the tokens*/ {1, 0}), expected));
  EXPECT_FALSE(same_bits(sum_of(/*the bucket*/ {0, 8}), expected));
}

// Two counts, each with buckets of its own; the outputs are cut to their rows.
TEST_P(ReplayerTest, EachCountHasItsBuckets) {
  CapturedProgram captured(
      [&](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
        return {ops::embedding(in[0], replayed_->table, 0),
                ops::embedding(in[1], replayed_->table, 0)};
      },
      {{0, 0, "tokens", 1}, {1, 0, "rows", 1}}, GuardPolicy::kKeep);
  Replayer replayer("lookup", captured,
                    {{at::kLong, {{1, 0}}, {0, 0}}, {at::kLong, {{1, 0, 1}}, {0, 0}}},
                    {Buckets({4, 8}), Buckets({2, 3})}, pool_);
  EXPECT_TRUE(replayer.holds({8, 3}));
  EXPECT_FALSE(replayer.holds({8, 4}));
  for (const auto& [tokens, rows] : {std::pair<int64_t, int64_t>{3, 2}, {4, 1}, {5, 2}, {1, 3}}) {
    const auto ids = on_device({at::arange(tokens), at::arange(rows) + 5});
    const auto found = replayer.run(ids, {{tokens, rows}, {tokens, rows}});
    EXPECT_TRUE(same_bits(found[0], eager_->table.narrow(0, 0, tokens).cpu())) << tokens;
    EXPECT_TRUE(same_bits(found[1], eager_->table.narrow(0, 5, rows).cpu())) << rows;
  }
  EXPECT_EQ(replayer.captures(), 3);
}

TEST_P(ReplayerTest, PiecesGiveTheSameBits) {
  Replayer replayer = in_pieces();
  for (const int64_t tokens : {3, 1, 4}) {
    EXPECT_TRUE(same_bits(replayer.run(step(tokens), {{tokens}, {tokens}}), eager(tokens)));
    EXPECT_TRUE(same_bits(replayed_->cache, eager_->cache)) << tokens;
  }
  EXPECT_EQ(replayer.captures(), 2 * 2);
  EXPECT_EQ(replayer.witness().replays, 3 * 2);
  EXPECT_EQ(replayer.witness().eager_operators, 3);
}

TEST_P(ReplayerTest, DigestsAreThoseOfTheValuesWithoutPadding) {
  for (const bool is_full : {true, false}) {
    Replayer replayer = is_full ? this->replayer() : in_pieces();
    for (const int64_t tokens : {3, 1, 4, 2, 3}) {
      ReplayDigests digests;
      const auto found = replayer.run(step(tokens), {{tokens}, {tokens}}, &digests);
      EXPECT_TRUE(same_bits(found, eager(tokens)));
      EXPECT_TRUE(agree(digests, marks_of(tokens))) << tokens;
      EXPECT_FALSE(agree(digests, marks_of(tokens % 4 + 1))) << tokens;
      EXPECT_TRUE(same_bits(replayer.run(step(tokens), {{tokens}, {tokens}}), found));
    }
    EXPECT_EQ(replayer.captures(), 2 * 2 * (is_full ? 1 : 2));
    EXPECT_EQ(replayer.witness().dispatcher_calls, 0);
    EXPECT_EQ(replayer.witness().allocations, 0);
  }
}

// Memory that a launch reads by address is changed behind the replays' back.
TEST_P(ReplayerTest, DigestsNameTheFirstValueThatDiffers) {
  Replayer replayer = this->replayer();
  ReplayDigests digests;
  replayer.run(step(3), {{3}, {3}}, &digests);
  const at::Tensor before = digests.sums.cpu();
  replayed_->cache.neg_();
  replayer.run(step(3), {{3}, {3}}, &digests);
  EXPECT_TRUE(same_bits(digests.sums[0].cpu(), before[0]));
  EXPECT_FALSE(same_bits(digests.sums[1].cpu(), before[1]));
}

// Over a mesh that lives in one process, the copies of what all ranks hold are digested each.
TEST_P(ReplayerTest, DigestsOfARanksOwnCopyAreItsOwn) {
  const auto mesh = make_local_mesh(2);
  const at::Tensor table = distribute_tensor(replayed_->table, mesh, Placement::replicate());
  CapturedProgram captured(
      [&](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
        const at::Tensor ids = from_local({in[0], in[0]}, mesh, Placement::replicate());
        const at::Tensor x = ops::embedding(ids, table, 0);
        ops::mark(x, "embedding");
        return {full_tensor(x)};
      },
      {{0, 0, "tokens", 1}}, GuardPolicy::kKeep);
  Replayer replayer("lookup", captured, {DecodeProgram::inputs()[0]}, {Buckets({4})}, pool_);
  const auto sums = [&] {
    ReplayDigests digests;
    replayer.run({step(3)[0]}, {{3}, {3}}, &digests);
    return digests.sums.cpu();
  };
  const at::Tensor before = sums();
  ASSERT_EQ(before.sizes(), at::IntArrayRef({2, 2}));
  EXPECT_TRUE(same_bits(before[0], before[1]));
  at::Tensor(locals_of(table)[1]).neg_();
  const at::Tensor after = sums();
  EXPECT_TRUE(same_bits(after[0], before[0]));
  EXPECT_FALSE(same_bits(after[1], before[1]));
}

// What was done to the graph is replayed.
TEST_P(ReplayerTest, ReplaysTheGraphThatPassesLeft) {
  int64_t graphs = 0;
  captured_->set_transform([&](ir::Graph graph) {
    ++graphs;
    graph.outputs.push_back(graph.outputs[0]);
    return graph;
  });
  for (const bool is_full : {true, false}) {
    Replayer replayer = is_full ? this->replayer() : in_pieces();
    const auto found = replayer.run(step(3), {{3}, {3, 3}});
    ASSERT_EQ(found.size(), 2U);
    EXPECT_TRUE(same_bits(found[0], found[1]));
  }
  EXPECT_EQ(graphs, 1);
}

// A program that does something else for one token. Kept guards: the bucket of one has a graph of
// its own. Dropped: the graph of the others runs there.
TEST_P(ReplayerTest, GuardsAreAskedAtTheBucketsSizes) {
  const auto branching = [](const DecodeProgram& program) {
    return [&program](const std::vector<at::Tensor>& in) -> std::vector<at::Tensor> {
      const at::Tensor out = program(in)[0];
      return {in[0].sym_size(0) == 1 ? ops::residual_add(out, out) : out};
    };
  };
  for (const GuardPolicy guards : {GuardPolicy::kKeep, GuardPolicy::kDrop}) {
    captured_.emplace(branching(*replayed_), DecodeProgram::dynamic_dims(), guards);
    Replayer replayer = in_pieces();
    for (const int64_t tokens : {2, 3}) {
      EXPECT_TRUE(same_bits(replayer.run(step(tokens), {{tokens}, {tokens}}), eager(tokens)));
    }
    EXPECT_EQ(captured_->witness().guards_false, 0);
    const auto found = replayer.run(step(1), {{1}, {1}});
    const bool is_kept = guards == GuardPolicy::kKeep;
    EXPECT_EQ(same_bits(found, branching(*eager_)(step(1))), is_kept);
    EXPECT_EQ(same_bits(found, eager(1)), !is_kept);
    EXPECT_EQ(captured_->witness().traces, is_kept ? 2 : 1);
    EXPECT_EQ(captured_->witness().guards_false, 1);
  }
}

TEST_P(ReplayerTest, AStepThatNoBucketHoldsIsRefused) {
  Replayer replayer = this->replayer();
  EXPECT_THROW(replayer.run(step(5), {{5}, {5}}), InputError);
}

SAMEBITS_FOR_ALL_POOLS(ReplayerTest);

}  // namespace
}  // namespace samebits
