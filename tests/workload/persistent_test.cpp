// Decode steps lowered to stages: the same bits as eager over random models, and planted faults in
// a stage list found by comparison with it.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "harness/capture/captured_program.h"
#include "harness/capture/passes/drop_roundings.h"
#include "harness/capture/passes/fuse.h"
#include "harness/capture/persistent/lower.h"
#include "harness/capture/persistent/stages.h"
#include "harness/kernels/functional.h"
#include "harness/workload/engine.h"
#include "tests/support/message_of.h"
#include "tests/support/random_decoder.h"

namespace samebits {
namespace {

using testing::DecoderDraw;
using ::testing::HasSubstr;
using testing::message_of;
using testing::same_bits;
using Tensors = std::vector<at::Tensor>;

// ---- The same bits ------------------------------------------------------------------------------

bool same(const std::vector<Completion>& a, const std::vector<Completion>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].tokens != b[i].tokens || a[i].logprobs.size() != b[i].logprobs.size()) return false;
    if (!same_bits(at::tensor(a[i].logprobs), at::tensor(b[i].logprobs))) return false;
  }
  return true;
}

std::vector<Request> random_requests(DecoderDraw& draw, const DecoderConfig& config) {
  std::vector<Request> requests(draw.between(1, 11));
  for (Request& request : requests) {
    request.id = draw.between(0, 1 << 20);
    request.prompt.resize(draw.between(1, 20));
    for (int64_t& id : request.prompt) id = draw.between(0, config.vocab_size - 1);
  }
  return requests;
}

Witness witness_of(const Engine& engine) { return engine.runner().witness(); }

TEST(PersistentTest, RandomModelsGiveEagersBits) {
  at::set_num_threads(1);
  for (uint64_t seed = 0; seed < testing::random_models(40); ++seed) {
    DecoderDraw draw(seed);
    const DecoderConfig config = testing::random_decoder(draw, /*for_card=*/false);
    Numerics numerics;
    numerics.dtype = draw.one_of<at::ScalarType>({at::kBFloat16, at::kFloat});
    SCOPED_TRACE(fmt::format("seed {}: {}, {}", seed, testing::describe(config),
                             c10::toString(numerics.dtype)));
    const auto model = testing::random_model(config, numerics, 1, draw.seed());
    std::vector<Request> requests = random_requests(draw, config);
    const Sampling sampling{draw.between(0, 1 << 20), draw.between(2, 8),
                            draw.one_of<double>({0, 0.7, 1}), 0, 1.0};
    EngineSettings settings;
    settings.max_batch_tokens = draw.between(1, 24);
    settings.block_size = draw.one_of<int64_t>({1, 3, 16});
    settings.blocks = 120;
    const auto expected = Engine(*model, settings).generate(requests, sampling);
    settings.mode.execution = Execution::kPersistent;
    Engine engine(*model, settings);
    EXPECT_TRUE(same(engine.generate(requests, sampling), expected));
    auto witness = witness_of(engine);
    EXPECT_EQ(witness.eager_calls, 0);
    EXPECT_EQ(witness.replay_dispatcher_calls, 0);
    EXPECT_EQ(witness.persistent_steps, witness.replays);
    EXPECT_EQ(witness.stages, witness.replays * (3 + 5 * config.num_hidden_layers));
    for (size_t i = 0; i < requests.size(); ++i) requests[i].forced = expected[i].tokens;
    EXPECT_TRUE(same(engine.generate(requests, {}), expected)) << "forced";
  }
}

// ---- Who has which tiles ------------------------------------------------------------------------

// Tiles of one product by processor, of the first `processors`.
std::vector<int> tiles_of_processors(int all, const Deal& deal, int processors) {
  std::vector<int> counts;
  std::vector<int> owners(all, 0);
  for (int p = 0; p < processors; ++p) {
    const TileShare share = share_of(all, deal.offset, p, deal.processors);
    counts.push_back(share.count);
    for (int i = 0; i < share.count; ++i) ++owners.at(share.first + i * share.stride);
  }
  EXPECT_EQ(owners, std::vector<int>(owners.size(), 1));
  return counts;
}

TEST(DecodeTiles, EveryTileHasOneOwner) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    DecoderDraw draw(seed);
    LayerTiles tiles{};
    for (int& each : tiles.of) each = static_cast<int>(draw.between(1, 600));
    const auto processors = static_cast<int>(draw.between(68, 131));
    const auto tokens = static_cast<int>(draw.between(1, kDecodeTokens));
    const auto kv_heads = static_cast<int>(draw.between(1, 32));
    for (int product = 0; product < kLayerProducts; ++product) {
      SCOPED_TRACE(fmt::format("seed {}, {} processors, {} tokens, {} heads, product {}", seed,
                               processors, tokens, kv_heads, product));
      const int all = tiles.of[product];
      tiles_of_processors(all, deal_of(tiles, product, processors), processors);
      tiles_of_processors(all, deal_of_step(tiles, product, tokens, kv_heads), kDecodeProcessors);
    }
  }
}

TEST(DecodeTiles, WithSeveralTokensAttentionsProcessorsShareGateAndUp) {
  const LayerTiles of_600_million{{512, 128, 384, 128}};
  constexpr int kTokens = 8;
  constexpr int kKvHeads = 8;
  const int most[] = {8, 2, 3, 2};  // of a processor
  for (int product = 0; product < kLayerProducts; ++product) {
    const auto counts = tiles_of_processors(
        of_600_million.of[product], deal_of_step(of_600_million, product, kTokens, kKvHeads),
        kDecodeProcessors);
    EXPECT_EQ(*std::max_element(counts.begin(), counts.end()), most[product]) << product;
    const bool has_attention = counts.back() > 0;
    EXPECT_EQ(has_attention, product == kGatedProduct) << product;
  }
}

TEST(DecodeTiles, WhoHasMoreOfOneProductHasNoMoreOfAnother) {
  const LayerTiles of_600_million{{512, 128, 384, 128}};
  constexpr int kProcessors = 124;
  std::vector<int> with_more(kProcessors, 0);
  for (int product = 0; product < kLayerProducts; ++product) {
    const auto counts = tiles_of_processors(
        of_600_million.of[product], deal_of(of_600_million, product, kProcessors), kProcessors);
    const int most = *std::max_element(counts.begin(), counts.end());
    for (int p = 0; p < kProcessors; ++p) with_more[p] += counts[p] == most ? 1 : 0;
    for (int p = kProcessors - 4; p < kProcessors; ++p) {
      const int expected[] = {0, 1, 3, 2};
      EXPECT_EQ(counts[p], expected[product]) << "product " << product << ", processor " << p;
    }
  }
  EXPECT_EQ(*std::max_element(with_more.begin(), with_more.end()), 1);
}

// ---- One step, lowered --------------------------------------------------------------------------

constexpr int64_t kPageRows = 8;

// One decode step of a small model of two layers, each sequence in a page of its own.
class LoweredTest : public ::testing::Test {
 protected:
  LoweredTest() {
    at::Generator generator = at::detail::createCPUGenerator(5);
    for (int64_t layer = 0; layer < 2; ++layer) {
      at::Tensor(cache_.page(layer, 0).k).normal_(0, 1, generator);
      at::Tensor(cache_.page(layer, 0).v).normal_(0, 1, generator);
    }
  }

  static Numerics numerics() {
    Numerics numerics;
    numerics.dtype = at::kFloat;  // bfloat16 would round small differences away
    return numerics;
  }

  // ids, positions, slots, block_table, cu_seqlens, seq_lens, rows.
  Tensors inputs() const {
    return {at::tensor({3, 60, 7}).to(at::kLong).view({1, 3}),
            at::tensor({5, 7, 2}).to(at::kLong).view({1, 3}),
            at::tensor({kPageRows + 5, 2 * kPageRows + 7, 3 * kPageRows + 2}).to(at::kLong),
            at::tensor({1, 2, 3}).to(at::kInt).view({3, 1}),
            at::arange(4, at::kInt),
            at::tensor({6, 8, 3}).to(at::kInt),
            at::tensor({0, 2, 1}).to(at::kLong)};
  }

  Program program(const Decoder& model) const {
    return [this, &model](const Tensors& in) -> Tensors {
      const c10::NoGradGuard no_grad;
      const PagedAttention attention(model.numerics(), cache_, {in[2], in[3], in[4], in[5]},
                                     model.attention_scale());
      return {model.forward(in[0], in[1], attention, in[6])};
    };
  }
  ir::Graph captured(const Decoder& model) const {
    CapturedProgram captured(program(model),
                             {{0, 1, "tokens", 1},
                              {1, 1, "tokens", 1},
                              {2, 0, "tokens", 1},
                              {3, 0, "sequences", 1},
                              {4, 0, "boundaries", 2},
                              {5, 0, "sequences", 1},
                              {6, 0, "rows", 1}},
                             GuardPolicy::kKeep);
    return *captured.serve(inputs()).graph;
  }

  // The step's stages, which a test may change before they run.
  struct Lowered {
    ir::Graph graph;
    StageList& stages() const {
      for (const ir::Node& node : graph.nodes) {
        if (ir::op_name(node.op) != "samebits::decode_stages") continue;
        return *std::get<c10::IValue>(node.args.back().data).toCustomClass<StageList>();
      }
      throw std::logic_error("no stages");
    }
    template <typename T>
    T& stage(size_t index) const {
      return std::get<T>(stages().stages.at(index));
    }
  };
  // Tokens drawn from that, filtered by top_p; and log-probabilities.
  Program drawing(double top_p) const {
    return [this, top_p](const Tensors& in) -> Tensors {
      const c10::NoGradGuard no_grad;
      const at::Tensor logits = program(*model_)(in)[0];
      const at::Tensor keys = at::stack({in[6], in[2]}, 1);
      const auto [token, logprob] =
          ops::sample(logits.view({keys.size(0), -1}), keys, model_->config().vocab_size,
                      /*seed=*/5, /*temperature=*/1.0, /*top_k=*/0, top_p);
      return {token, logprob};
    };
  }
  Lowered lowered_drawing(double top_p) {
    CapturedProgram captured(drawing(top_p), {}, GuardPolicy::kKeep);
    return {passes::lower_decode(*captured.serve(inputs()).graph, progress_).graph};
  }
  Lowered lowered() { return {passes::lower_decode(captured(*model_), progress_).graph}; }
  at::Tensor run(const Lowered& step, const Tensors& inputs) {
    return Executor(std::make_shared<const ir::Graph>(step.graph)).run(inputs)[0];
  }
  at::Tensor run(const Lowered& step) { return run(step, inputs()); }
  at::Tensor eager() { return program(*model_)(inputs())[0]; }

  // Whether a change of the stages is seen in the logits.
  bool is_found(const std::function<void(const Lowered&)>& change) {
    const Lowered step = lowered();
    change(step);
    return !same_bits(run(step), eager());
  }

  std::unique_ptr<Decoder> model_ =
      testing::random_model(testing::small_config(), numerics(), 1, 9);
  KvCache cache_{testing::small_config(), 1, 4, kPageRows, at::kFloat};
  at::Tensor progress_ = at::zeros({2}, at::kLong);
};

// Stages of two layers: embed, (columns, attention, rows, columns, rows) twice, columns.
constexpr size_t kQkv = 1, kAttention = 2, kWo = 3, kGateUp = 4, kDown = 5;

TEST_F(LoweredTest, StagesGiveEagersLogits) {
  const Lowered step = lowered();
  EXPECT_EQ(step.stages().stages.size(), 12U);
  EXPECT_TRUE(same_bits(run(step), eager()));
  EXPECT_TRUE(at::equal(progress_, at::tensor({1, 12}).to(at::kLong)));
}

TEST_F(LoweredTest, NothingButStagesAndAViewIsLeft) {
  const Lowered step = lowered();
  ASSERT_EQ(step.graph.nodes.size(), 1U);
  EXPECT_EQ(step.stages().results.size(), 1U);
  const auto log = passes::lower_decode(captured(*model_), progress_).log;
  ASSERT_EQ(log.size(), 12U);
  EXPECT_THAT(log[kQkv], HasSubstr("columns: "));
  EXPECT_THAT(log[kQkv], HasSubstr("; 32 tiles"));
  EXPECT_THAT(log[kWo], HasSubstr("in slices of 16; 4 tiles"));
}

TEST_F(LoweredTest, DrawingATokenIsAStage) {
  const Lowered step = lowered_drawing(/*top_p=*/1.0);
  ASSERT_EQ(step.stages().stages.size(), 13U);
  const auto run_drawing = [&] {
    return Executor(std::make_shared<const ir::Graph>(step.graph)).run(inputs());
  };
  const Tensors expected = drawing(/*top_p=*/1.0)(inputs());
  const Tensors found = run_drawing();
  EXPECT_TRUE(at::equal(found[0], expected[0]));
  EXPECT_TRUE(same_bits(found[1], expected[1]));
  step.stage<SampleStage>(12).seed = 6;
  EXPECT_FALSE(at::equal(run_drawing()[0], expected[0])) << "another seed";
}

TEST_F(LoweredTest, AFilteredDrawStaysAnOperator) {
  const Lowered step = lowered_drawing(/*top_p=*/0.5);
  EXPECT_EQ(step.stages().stages.size(), 12U);
  const Tensors found = Executor(std::make_shared<const ir::Graph>(step.graph)).run(inputs());
  EXPECT_TRUE(at::equal(found[0], drawing(/*top_p=*/0.5)(inputs())[0]));
}

TEST_F(LoweredTest, AStaleScaleIsFound) {
  EXPECT_TRUE(
      is_found([](const Lowered& step) { step.stage<AttentionStage>(kAttention).scale *= 0.5; }));
}

TEST_F(LoweredTest, ANeighboursWeightIsFound) {
  EXPECT_TRUE(is_found([](const Lowered& step) {
    step.stage<ColumnsStage>(kQkv).projections[0].weight =
        step.stage<ColumnsStage>(kQkv + 5).projections[0].weight;
  }));
  EXPECT_TRUE(is_found([](const Lowered& step) {
    auto& projections = step.stage<ColumnsStage>(kQkv).projections;
    std::swap(projections[1].weight, projections[2].weight);
  }));
}

TEST_F(LoweredTest, GateAndUpInTheWrongOrderAreFound) {
  EXPECT_TRUE(is_found([](const Lowered& step) {
    auto& projections = step.stage<ColumnsStage>(kGateUp).projections;
    std::swap(projections[0].weight, projections[1].weight);
  }));
}

TEST_F(LoweredTest, AWrongResidualIsFound) {
  EXPECT_TRUE(is_found([](const Lowered& step) {
    step.stage<RowsStage>(kDown).residual = step.stage<RowsStage>(kWo).residual;
  }));
}

TEST_F(LoweredTest, AMissingRotationIsFound) {
  Tensors unturned = inputs();
  unturned[1] = at::zeros_like(unturned[1]);  // position 0 turns nothing
  EXPECT_FALSE(same_bits(run(lowered(), unturned), eager()));
  EXPECT_TRUE(is_found([](const Lowered& step) {
    auto& attention = step.stage<AttentionStage>(kAttention);
    std::swap(attention.cos, attention.sin);
  }));
}

TEST_F(LoweredTest, AWrongEpsilonIsFound) {
  EXPECT_TRUE(is_found([](const Lowered& step) { step.stage<ColumnsStage>(kGateUp).eps = 1e-5; }));
  EXPECT_TRUE(is_found(
      [](const Lowered& step) { step.stage<AttentionStage>(kAttention).keys.eps = 1e-5; }));
}

TEST_F(LoweredTest, AWrongSliceCountIsFound) {
  EXPECT_TRUE(is_found([](const Lowered& step) { step.stage<RowsStage>(kWo).slice *= 2; }));
}

TEST_F(LoweredTest, ATileWithoutAnOwnerIsFound) {
  const Lowered step = lowered();
  step.stage<ColumnsStage>(kQkv).tiling.tiles -= 1;
  EXPECT_THAT(message_of([&] { run(step); }), HasSubstr("a tile has no owner"));
}

TEST_F(LoweredTest, WhatStandsBetweenStagesIsRefusedByName) {
  const ir::Graph graph = captured(*model_);
  const auto refusal = [&](const ir::Graph& refused) {
    return message_of([&] { passes::lower_decode(refused, progress_); });
  };
  EXPECT_THAT(refusal(passes::fuse(graph).graph),
              HasSubstr("lowering a decode step: found samebits::rms_norm_linear_qkv"));
  EXPECT_THAT(refusal(passes::drop_roundings(graph).graph),
              HasSubstr("lowering a decode step: found samebits::rms_norm between"));
  EXPECT_THAT(refusal(ir::Graph()), HasSubstr("found a graph without stages"));
}

TEST_F(LoweredTest, LayersThatAreCapturedOddlyAreRefusedByName) {
  DecoderConfig config = testing::small_config();
  config.hidden_size = 36;  // no whole tiles
  const auto odd = testing::random_model(config, numerics(), 1, 9);
  EXPECT_THAT(message_of([&] { passes::lower_decode(captured(*odd), progress_); }),
              HasSubstr("lowering a decode step: found samebits::linear between"));
}

}  // namespace
}  // namespace samebits
