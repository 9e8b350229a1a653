// All passes over an engine step of a small Qwen3, against eager.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "harness/capture/executor.h"
#include "harness/capture/graph_file.h"
#include "harness/capture/passes/common_subexpressions.h"
#include "harness/capture/passes/dead_code.h"
#include "harness/capture/passes/drop_roundings.h"
#include "harness/capture/passes/fuse.h"
#include "harness/capture/piecewise.h"
#include "harness/capture/print.h"
#include "harness/capture/tracer.h"
#include "harness/dispatch/operator_traits.h"
#include "harness/kernels/functional.h"
#include "harness/model/attention.h"
#include "harness/model/kv_cache.h"
#include "tests/support/random_model.h"

namespace samebits {
namespace {

using passes::PassResult;
using testing::random_model;
using testing::same_bits;
using testing::small_config;
using Tensors = std::vector<at::Tensor>;

constexpr int64_t kBlockSize = 4;
constexpr int64_t kBlocks = 8;

// ids, positions, slots, block_table, cu_seqlens, seq_lens, rows, targets of one prefill.
Tensors step_inputs(int64_t tokens) {
  const at::Tensor counted = at::arange(tokens);
  return {((counted * 7 + 3) % 60).view({1, tokens}),
          counted.view({1, tokens}),
          counted.clone(),
          at::arange(kBlocks, at::kInt).view({1, kBlocks}),
          at::tensor({0, static_cast<int>(tokens)}, at::kInt),
          at::tensor({static_cast<int>(tokens)}, at::kInt),
          counted.clone(),
          (counted * 5 + 1) % 60};
}

// Nodes that are neither views nor marks.
int64_t computing_nodes(const ir::Graph& graph) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(), [](const ir::Node& node) {
    const std::string name = ir::op_name(node.op);
    return name.rfind("aten::view", 0) != 0 && name != "samebits::mark";
  });
}

class PassesOverAModel : public ::testing::TestWithParam<int64_t> {
 protected:
  std::vector<DynamicDim> dims() const {
    return {{0, 1, "tokens", 1},
            {1, 1, "tokens", 1},
            {2, 0, "tokens", 1},
            {6, 0, "rows", 1},
            {7, 0, "rows", 1}};
  }

  Tensors forward(const Tensors& in) const {
    const PagedAttention attention(numerics_, cache_, {in[2], in[3], in[4], in[5]},
                                   model_->attention_scale());
    const at::Tensor logits = model_->forward(in[0], in[1], attention, in[6])
                                  .view_symint({in[6].sym_size(0), model_->padded_vocab()});
    const auto [logprobs, lse] = ops::log_softmax_gather(logits, in[7], config_.vocab_size);
    return {logprobs, lse};
  }

  ir::Graph graph() const {
    ShapeEnv env;
    return trace([this](const Tensors& in) { return forward(in); }, step_inputs(6), dims(), env);
  }

  // Whether `run` gives eager's bits, at a size that was not traced.
  template <typename F>
  bool is_eager(F&& run) const {
    const at::NoGradGuard no_grad;
    const Tensors in = step_inputs(11);
    const Tensors expected = forward(in);
    const Tensors got = run(in);
    return same_bits(got[0], expected[0]) && same_bits(got[1], expected[1]);
  }

  // Constants by the order in which they are met.
  GraphNames names() {
    return {[this](const at::Tensor& tensor) {
              constants_.push_back(tensor);
              return std::to_string(constants_.size() - 1);
            },
            [this](const c10::IValue& object) {
              mesh_ = object;
              return std::string("mesh");
            }};
  }
  GraphReferences references() const {
    return {[this](const std::string& name) { return constants_.at(std::stoul(name)); },
            [this](const std::string&) { return mesh_; }};
  }

  DecoderConfig config_ = small_config();
  Numerics numerics_;
  std::unique_ptr<Decoder> model_ = random_model(config_, numerics_, GetParam(), /*seed=*/5);
  KvCache cache_{config_, GetParam(), kBlocks, kBlockSize, numerics_.dtype};
  Tensors constants_;
  c10::IValue mesh_;
};

TEST_P(PassesOverAModel, KeepTheBitsOfEager) {
  const ir::Graph traced = graph();
  PassResult merged = passes::common_subexpressions(traced);
  PassResult pruned = passes::dead_code(merged.graph);
  PassResult fused = passes::fuse(pruned.graph);
  // Without ranks between, of a layer: two norms and what reads them, two products and what adds
  // them up, both rotations, the write of keys, queries with it, and attention with all of that.
  // With ranks: two sums, each of which is normed next, and both rotations.
  const int64_t a_layer = GetParam() == 1 ? 9 : 4;
  EXPECT_EQ(fused.log.size(), static_cast<size_t>(a_layer * config_.num_hidden_layers));
  if (GetParam() == 1) {
    EXPECT_EQ(computing_nodes(fused.graph), 5 * config_.num_hidden_layers + 5);
  }
  const ir::Graph loaded = load_graph(save_graph(fused.graph, names()), references(), "g.json");
  EXPECT_EQ(to_string(loaded), to_string(fused.graph));
  const auto final_graph = std::make_shared<const ir::Graph>(loaded);
  Executor whole(final_graph);
  EXPECT_TRUE(is_eager([&](const Tensors& in) { return whole.run(in); }));

  const passes::SplitGraph parts = passes::split(final_graph, attention_operators());
  EXPECT_GE(parts.pieces.size(), static_cast<size_t>(2 * config_.num_hidden_layers + 1));
  PiecewiseExecutor pieces(parts);
  EXPECT_TRUE(is_eager([&](const Tensors& in) { return pieces.run(in); }));
}

// The negative control.
TEST_P(PassesOverAModel, ThatDropARoundingAreSeen) {
  PassResult dropped = passes::drop_roundings(graph());
  EXPECT_FALSE(dropped.log.empty());
  Executor executor(std::make_shared<const ir::Graph>(std::move(dropped.graph)));
  EXPECT_FALSE(is_eager([&](const Tensors& in) { return executor.run(in); }));
}

INSTANTIATE_TEST_SUITE_P(Ranks, PassesOverAModel, ::testing::Values(1, 2, 4));

}  // namespace
}  // namespace samebits
