// The card's kernel of a decode step against the operators that it does the work of, value by
// value, over random models, batches and contexts; and what it does with bad input.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <optional>

#include "harness/capture/captured_program.h"
#include "harness/capture/persistent/lower.h"
#include "harness/kernels/decode_tiles.h"
#include "harness/kernels/device.h"
#include "harness/kernels/functional.h"
#include "harness/model/qwen3.h"
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

class PersistentCudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
  }
};

Weights on_card(Weights weights) {
  for (auto& [name, weight] : weights) weight = weight.to(at::kCUDA);
  return weights;
}

// How a step's tokens are drawn; none: its logits are all there is.
using Temperature = std::optional<double>;

// A model on the card, its cache full of random keys and values, and steps of it.
class CardStep {
 public:
  CardStep(const DecoderConfig& config, DecoderDraw& draw, int64_t tokens,
           Temperature temperature = std::nullopt)
      : config_(config),
        temperature_(temperature),
        page_rows_(draw.one_of<int64_t>({1, 4, 16, 24})),
        width_((config.max_position_embeddings + page_rows_ - 1) / page_rows_),
        model_(config, Numerics(), {}, on_card(testing::random_weights(config, draw.seed()))),
        cache_(config, 1, tokens * width_ + 3, page_rows_, at::kBFloat16, at::kCUDA) {
    at::manual_seed(draw.seed());
    for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
      at::Tensor(cache_.page(layer, 0).k).normal_();
      at::Tensor(cache_.page(layer, 0).v).normal_();
    }
  }

  // Of `tokens` sequences, the last `padding` of which are none. `least`, `most`: keys.
  Tensors inputs(DecoderDraw& draw, int64_t tokens, int64_t padding, int64_t least,
                 int64_t most) const {
    std::vector<int64_t> pages(cache_.blocks());
    std::iota(pages.begin(), pages.end(), 0);
    for (size_t i = pages.size(); i > 1; --i) {
      std::swap(pages[i - 1], pages[draw.between(0, static_cast<int64_t>(i) - 1)]);
    }
    std::vector<int64_t> ids, positions, slots, rows, keys_of_draws;
    std::vector<int32_t> table(tokens * width_, 0), starts{0}, lengths;
    for (int64_t t = 0; t < tokens; ++t) {
      const bool is_there = t < tokens - padding;
      const int64_t keys = is_there ? draw.between(least, most) : 0;
      for (int64_t p = 0; p < width_; ++p) {
        table[t * width_ + p] = static_cast<int32_t>(pages[t * width_ + p]);
      }
      ids.push_back(is_there ? draw.between(0, config_.vocab_size - 1) : 0);
      positions.push_back(is_there ? keys - 1 : 0);
      slots.push_back(is_there ? table[t * width_ + (keys - 1) / page_rows_] * page_rows_ +
                                     (keys - 1) % page_rows_
                               : -1);
      rows.push_back(is_there ? t : 0);
      for (int i = 0; i < 2; ++i) keys_of_draws.push_back(draw.between(0, (int64_t{1} << 32) - 1));
      starts.push_back(static_cast<int32_t>(std::min(t + 1, tokens - padding)));
      lengths.push_back(static_cast<int32_t>(keys));
    }
    Tensors all{at::tensor(ids).view({1, tokens}),
                at::tensor(positions).view({1, tokens}),
                at::tensor(slots),
                at::tensor(table, at::kInt).view({tokens, width_}),
                at::tensor(starts, at::kInt),
                at::tensor(lengths, at::kInt),
                at::tensor(rows),
                at::tensor(keys_of_draws).view({tokens, 2})};
    for (at::Tensor& each : all) each = each.to(at::kCUDA);
    return all;
  }

  ir::Graph captured(const Tensors& inputs) const {
    const Program program = [this](const Tensors& in) -> Tensors {
      const PagedAttention attention(model_.numerics(), cache_, {in[2], in[3], in[4], in[5]},
                                     model_.attention_scale());
      const at::Tensor logits = model_.forward(in[0], in[1], attention, in[6]);
      if (!temperature_) return {logits};
      const auto [token, logprob] =
          ops::sample(logits.view({in[7].size(0), -1}), in[7], config_.vocab_size, /*seed=*/5,
                      *temperature_, /*top_k=*/0, /*top_p=*/1.0);
      return {logits, token, logprob};
    };
    CapturedProgram captured(program, {}, GuardPolicy::kDrop);
    return *captured.serve(inputs).graph;
  }

  // What a graph gives, and what it leaves in the caches, from the same caches each time.
  Tensors run(const ir::Graph& graph, const Tensors& inputs) const {
    const c10::NoGradGuard no_grad;
    Tensors before;
    for_each_cache([&](at::Tensor& cache) { before.push_back(cache.clone()); });
    Tensors results = Executor(std::make_shared<const ir::Graph>(graph)).run(inputs);
    for (at::Tensor& result : results) result = result.cpu();
    throw_device_fault();
    size_t next = 0;
    for_each_cache([&](at::Tensor& cache) {
      results.push_back(cache.cpu());
      cache.copy_(before[next++]);
    });
    return results;
  }

  const Decoder& model() const { return model_; }

 private:
  template <typename F>
  void for_each_cache(F f) const {
    for (int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
      at::Tensor k = cache_.page(layer, 0).k;
      at::Tensor v = cache_.page(layer, 0).v;
      f(k);
      f(v);
    }
  }

  DecoderConfig config_;
  Temperature temperature_;
  int64_t page_rows_;
  int64_t width_;
  Qwen3 model_;
  KvCache cache_;
};

at::Tensor new_progress() {
  return at::zeros({2}, at::TensorOptions().dtype(at::kLong).device(at::kCUDA));
}

// The graph with every marked value among its outputs; their names.
ir::Graph with_marked_values(ir::Graph graph, std::vector<std::string>& sites) {
  for (const ir::Node& node : graph.nodes) {
    if (ir::op_name(node.op) != "samebits::mark") continue;
    graph.outputs.push_back(std::get<ir::Arg::Ref>(node.args[0].data).value);
    sites.push_back(std::get<c10::IValue>(node.args[1].data).toStringRef());
  }
  return graph;
}

// The rows of the tokens that are no padding.
at::Tensor real_rows(const at::Tensor& value, int64_t tokens, int64_t real) {
  if (value.dim() == 1) return value.narrow(0, 0, real);
  return value.dim() >= 3 && value.size(0) == 1 && value.size(1) == tokens
             ? value.narrow(1, 0, real)
             : value;
}

// `results`: how many a step gives; then marked values, then caches. "": all are equal. Results are
// told last, since they come of the rest.
std::string first_difference(const Tensors& a, const Tensors& b, size_t results, int64_t tokens,
                             int64_t real, const std::vector<std::string>& sites) {
  const auto differs = [&](size_t i) {
    return !same_bits(real_rows(a[i], tokens, real), real_rows(b[i], tokens, real));
  };
  for (size_t i = results; i < a.size(); ++i) {
    if (!differs(i)) continue;
    const size_t at = i - results;
    return at < sites.size() ? sites[at] : fmt::format("cache {}", at - sites.size());
  }
  for (size_t i = 0; i < results; ++i) {
    if (differs(i)) return i == 0 ? "logits" : i == 1 ? "tokens" : "logprobs";
  }
  return "";
}

void expect_operators_bits(DecoderDraw& draw, const DecoderConfig& config, int64_t tokens,
                           int64_t padding, int64_t least, int64_t most) {
  const auto temperature = draw.one_of<Temperature>({std::nullopt, 0.0, 0.7, 1.0});
  const CardStep step(config, draw, tokens, temperature);
  const Tensors inputs = step.inputs(draw, tokens, padding, least, most);
  ir::Graph graph = step.captured(inputs);
  const size_t results = graph.outputs.size();
  std::vector<std::string> sites;
  const ir::Graph marked = with_marked_values(graph, sites);
  const Tensors expected = step.run(marked, inputs);
  const at::Tensor progress = new_progress();
  const int64_t real = tokens - padding;
  const Tensors found = step.run(passes::lower_decode(marked, progress).graph, inputs);
  EXPECT_EQ(first_difference(found, expected, results, tokens, real, sites), "") << "observed";
  if (temperature) graph.outputs.erase(graph.outputs.begin());  // as an engine wants it
  const ir::Graph lowered = passes::lower_decode(graph, progress).graph;
  const auto is_same = [&](const at::Tensor& one, const at::Tensor& other) {
    return same_bits(real_rows(one, tokens, real), real_rows(other, tokens, real));
  };
  for (int again = 0; again < 3; ++again) {
    const Tensors plain = step.run(lowered, inputs);
    for (size_t i = 0; i < graph.outputs.size(); ++i) {
      EXPECT_TRUE(is_same(plain[i], expected[results - graph.outputs.size() + i]));
    }
  }
  const int64_t stages = (temperature ? 3 : 2) + 5 * config.num_hidden_layers;
  const std::vector<int64_t> counted{4, 4 * stages};
  EXPECT_TRUE(at::equal(progress.cpu(), at::tensor(counted)));
}

TEST_F(PersistentCudaTest, RandomModelsGiveTheOperatorsBits) {
  for (uint64_t seed = 0; seed < testing::random_models(100); ++seed) {
    DecoderDraw draw(seed);
    const DecoderConfig config = testing::random_decoder(draw, /*for_card=*/true);
    const int64_t tokens = draw.one_of<int64_t>({1, 1, 2, 3, 4, 5, 6, 7, 8, 8, 13});
    const int64_t padding = draw.between(0, 2) == 0 ? draw.between(0, tokens - 1) : 0;
    SCOPED_TRACE(fmt::format("seed {}: {}, {} tokens, {} of padding", seed,
                             testing::describe(config), tokens, padding));
    expect_operators_bits(draw, config, tokens, padding, 1, config.max_position_embeddings);
    if (::testing::Test::HasFailure()) return;  // the others would say the same
  }
}

DecoderConfig layers_of_600_million(int64_t layers) {
  DecoderConfig config;
  config.vocab_size = 20000;
  config.hidden_size = 1024;
  config.num_hidden_layers = layers;
  config.num_attention_heads = 16;
  config.num_key_value_heads = 8;
  config.head_dim = 128;
  config.intermediate_size = 3072;
  config.max_position_embeddings = 2048;
  config.tie_word_embeddings = true;
  return config;
}

TEST_F(PersistentCudaTest, LayersOf600MillionGiveTheOperatorsBits) {
  DecoderDraw draw(7);
  for (const int64_t tokens : {1, 2, 8}) {
    for (const int64_t keys : {1, 64, 300, 2048}) {
      SCOPED_TRACE(fmt::format("{} tokens, {} keys", tokens, keys));
      expect_operators_bits(draw, layers_of_600_million(/*layers=*/3), tokens, 0,
                            std::max<int64_t>(keys - 9, 1), keys);
    }
  }
}

TEST_F(PersistentCudaTest, FromMoreIdsThanItsMemoryHoldsTokensAreDrawnBehindIt) {
  for (const int64_t vocab : {kDrawnIds, kDrawnIds + 8}) {
    SCOPED_TRACE(fmt::format("{} ids", vocab));
    DecoderDraw draw(11);
    DecoderConfig config = testing::random_decoder(draw, /*for_card=*/true);
    config.hidden_size = 64;
    config.vocab_size = vocab;
    const CardStep step(config, draw, 8, /*temperature=*/1.0);
    const Tensors inputs = step.inputs(draw, 8, 0, 1, 9);
    ir::Graph graph = step.captured(inputs);
    graph.outputs.erase(graph.outputs.begin());  // the logits
    const at::Tensor progress = new_progress();
    const Tensors found = step.run(passes::lower_decode(graph, progress).graph, inputs);
    const Tensors expected = step.run(graph, inputs);
    EXPECT_TRUE(same_bits(found[0], expected[0])) << "tokens";
    EXPECT_TRUE(same_bits(found[1], expected[1])) << "logprobs";
    const int64_t stages = (vocab == kDrawnIds ? 3 : 2) + 5 * config.num_hidden_layers;
    EXPECT_EQ(progress[1].item<int64_t>(), stages);
  }
}

TEST_F(PersistentCudaTest, AnEngineOnTheCardGivesTheCpusTokens) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    DecoderDraw draw(seed);
    const DecoderConfig config = testing::random_decoder(draw, /*for_card=*/true);
    const Weights weights = testing::random_weights(config, draw.seed());
    std::vector<Request> requests(draw.one_of<int64_t>({1, 5, 11}));
    for (Request& request : requests) {
      request.id = draw.between(0, 1000);
      request.prompt = {draw.between(0, config.vocab_size - 1), 1, 2};
    }
    EngineSettings settings{/*max_batch_tokens=*/40, /*block_size=*/4, /*blocks=*/60, {}};
    const Sampling sampling{/*seed=*/3, /*max_new_tokens=*/6, /*temperature=*/1.0, 0, 1.0};
    const Qwen3 here(config, Numerics(), {}, weights);
    const auto expected = Engine(here, settings).generate(requests, sampling);
    const Qwen3 there(config, Numerics(), {}, on_card(weights));
    settings.mode.execution = Execution::kPersistent;
    Engine engine(there, settings);
    const auto found = engine.generate(requests, sampling);
    const Witness witness = engine.runner().witness();
    EXPECT_EQ(witness.persistent_steps + witness.fused_steps, witness.replays);
    EXPECT_EQ(witness.fused_steps > 0, requests.size() > 8);
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(found[i].tokens, expected[i].tokens) << "seed " << seed << ", sequence " << i;
      EXPECT_EQ(found[i].logprobs, expected[i].logprobs) << "seed " << seed << ", sequence " << i;
    }
  }
}

TEST_F(PersistentCudaTest, WhatTheKernelCannotDoIsRefusedByName) {
  DecoderDraw draw(1);
  DecoderConfig config = testing::random_decoder(draw, /*for_card=*/true);
  config.hidden_size = 2048;
  const CardStep step(config, draw, 1);
  const Tensors inputs = step.inputs(draw, 1, 0, 3, 3);
  const ir::Graph lowered = passes::lower_decode(step.captured(inputs), new_progress()).graph;
  EXPECT_THAT(message_of([&] { step.run(lowered, inputs); }),
              HasSubstr("decode_stages on a card: found a hidden size"));
}

TEST_F(PersistentCudaTest, ASlotThatItsSequenceDoesNotReadIsAFault) {
  DecoderDraw draw(2);
  const CardStep step(testing::random_decoder(draw, /*for_card=*/true), draw, 2);
  Tensors inputs = step.inputs(draw, 2, 0, 3, 9);
  const ir::Graph lowered = passes::lower_decode(step.captured(inputs), new_progress()).graph;
  inputs[2] = inputs[2].flip(0);
  EXPECT_THAT(message_of([&] { step.run(lowered, inputs); }),
              HasSubstr("where its sequence reads it"));
}

TEST_F(PersistentCudaTest, AKeyOutsideIsAFault) {
  DecoderDraw draw(4);
  const CardStep step(testing::random_decoder(draw, /*for_card=*/true), draw, 2, 1.0);
  Tensors inputs = step.inputs(draw, 2, 0, 3, 9);
  const ir::Graph lowered = passes::lower_decode(step.captured(inputs), new_progress()).graph;
  inputs[7].select(0, 1).select(0, 0).fill_(-3);
  EXPECT_THAT(message_of([&] { step.run(lowered, inputs); }),
              HasSubstr("sample: row 1 has sequence -3"));
}

TEST_F(PersistentCudaTest, AWaitThatTakesTooLongIsAFaultThatNamesItsStage) {
  DecoderDraw draw(3);
  const CardStep step(layers_of_600_million(/*layers=*/2), draw, 1);
  const Tensors inputs = step.inputs(draw, 1, 0, 300, 300);
  const ir::Graph graph = step.captured(inputs);
  const ir::Graph lowered = passes::lower_decode(graph, new_progress()).graph;
  setenv("SAMEBITS_DECODE_WAIT_S", "1e-9", /*overwrite=*/1);
  const std::string message = message_of([&] { step.run(lowered, inputs); });
  unsetenv("SAMEBITS_DECODE_WAIT_S");
  EXPECT_THAT(message, HasSubstr("decode_stages: layer "));
  EXPECT_THAT(message, HasSubstr(" waited for more than 1 cycles"));
  EXPECT_TRUE(same_bits(step.run(lowered, inputs)[0], step.run(graph, inputs)[0]));
}

}  // namespace
}  // namespace samebits
