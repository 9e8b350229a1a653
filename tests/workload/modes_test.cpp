// Random small models: every mode of the generator gives eager's bits, and what a user gets wrong
// about a mode is found by the detector that is there for it. SAMEBITS_RANDOM_MODELS says how many.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <numeric>
#include <random>

#include "harness/capture/captured_program.h"
#include "harness/capture/symbol_oracle.h"
#include "harness/dispatch/operator_traits.h"
#include "harness/dtensor/dtensor.h"
#include "harness/graph/emulated_pool.h"
#include "harness/graph/replayer.h"
#include "harness/model/qwen3.h"
#include "harness/workload/engine.h"
#include "tests/support/emulated.h"
#include "tests/support/message_of.h"
#include "tests/support/random_model.h"

namespace samebits {
namespace {

using testing::Emulated;
using ::testing::HasSubstr;
using testing::message_of;
using testing::same_bits;
using Tensors = std::vector<at::Tensor>;

constexpr uint64_t kDefaultModels = 80;  // some seconds on two cores

uint64_t models() {
  const char* text = std::getenv("SAMEBITS_RANDOM_MODELS");
  return text == nullptr ? kDefaultModels : std::strtoull(text, nullptr, 10);
}

class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}

  // Ends included. Not std::uniform_int_distribution, which is another one in each library.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random_() % static_cast<uint64_t>(high - low + 1));
  }
  template <typename T>
  T one_of(const std::vector<T>& values) {
    return values[between(0, static_cast<int64_t>(values.size()) - 1)];
  }
  bool coin() { return between(0, 1) == 1; }
  uint64_t seed() { return random_(); }

 private:
  std::mt19937_64 random_;
};

// One model that can be built at several TP degrees, always of the same weights.
struct RandomModel {
  explicit RandomModel(Draw& draw) {
    config.vocab_size = draw.between(5, 131);
    config.hidden_size = draw.between(5, 48);
    config.num_hidden_layers = draw.between(1, 3);
    config.num_key_value_heads = draw.one_of<int64_t>({1, 2, 2, 3, 4});
    config.num_attention_heads = config.num_key_value_heads * draw.between(1, 3);
    // TP invariance asks that the K-slices divide the heads' features.
    const int64_t step =
        Numerics::kSlices / std::gcd(Numerics::kSlices, config.num_key_value_heads);
    config.head_dim = step * draw.between(1, 16 / step);
    config.intermediate_size = Numerics::kSlices * draw.between(1, 6);
    config.max_position_embeddings = draw.between(32, 70);
    config.rope_theta = draw.one_of<double>({1e4, 1e6});
    config.tie_word_embeddings = draw.coin();
    if (draw.coin()) config.eos_token_ids = {draw.between(0, config.vocab_size - 1)};
    numerics.dtype = draw.coin() ? at::kFloat : at::kBFloat16;
    numerics.fused_rounding = draw.between(0, 3) == 0;
    numerics.float32_head = draw.between(0, 3) == 0;
    weights = testing::random_weights(config, draw.seed());
    if (config.num_key_value_heads % 2 == 0) degrees.push_back(2);
  }

  std::unique_ptr<Decoder> build(int64_t tp, GatheredSize rule = GatheredSize::kNarrow) const {
    const TensorParallel parallel =
        tp == 1 ? TensorParallel() : TensorParallel(make_local_mesh(tp, rule));
    return std::make_unique<Qwen3>(config, numerics, parallel, weights);
  }

  std::string str() const {
    return fmt::format("layers {}, heads {}/{} of {}, hidden {}, mlp {}, vocab {}{}, {}{}{}",
                       config.num_hidden_layers, config.num_attention_heads,
                       config.num_key_value_heads, config.head_dim, config.hidden_size,
                       config.intermediate_size, config.vocab_size,
                       config.tie_word_embeddings ? " tied" : "", c10::toString(numerics.dtype),
                       numerics.fused_rounding ? ", fused rounding" : "",
                       numerics.float32_head ? ", float32 head" : "");
  }

  DecoderConfig config;
  Numerics numerics;
  Weights weights;
  std::vector<int64_t> degrees = {1};  // TP
};

std::vector<Request> random_requests(Draw& draw, const DecoderConfig& config, int64_t longest) {
  std::vector<Request> requests(draw.between(1, 7));
  for (Request& request : requests) {
    request.id = draw.between(0, 1 << 20);
    request.prompt.resize(draw.between(1, longest));
    for (int64_t& id : request.prompt) id = draw.between(0, config.vocab_size - 1);
  }
  return requests;
}

Sampling random_sampling(Draw& draw, int64_t max_new_tokens) {
  return {draw.between(0, 1 << 20), max_new_tokens, draw.one_of<double>({0, 0.7, 1, 1.5}),
          draw.one_of<int64_t>({0, 0, 3, 20}), draw.one_of<double>({1, 1, 0.8})};
}

// The budget decides the buckets too. `longest`: tokens of one sequence.
EngineSettings random_settings(Draw& draw, int64_t longest, Execution execution,
                               GuardPolicy guards = GuardPolicy::kKeep) {
  EngineSettings settings;
  settings.max_batch_tokens = draw.between(1, 40);
  settings.block_size = draw.one_of<int64_t>({1, 2, 3, 4, 8, 16});
  settings.blocks = Engine::blocks_for(longest, settings.block_size) + draw.between(0, 40);
  settings.mode.execution = execution;
  settings.mode.guards = guards;
  return settings;
}

bool same(const std::vector<Completion>& a, const std::vector<Completion>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].tokens != b[i].tokens || a[i].logprobs.size() != b[i].logprobs.size()) return false;
    if (!same_bits(at::tensor(a[i].logprobs), at::tensor(b[i].logprobs))) return false;
  }
  return true;
}

// One engine step of the model as a program, as a user would hand it to capture: the logits of one
// more token of each sequence, each sequence in a page of its own.
class DecodeStep {
 public:
  DecodeStep(const Decoder& model, Draw& draw, int64_t sequences)
      : model_(model),
        page_rows_(draw.between(2, 9)),
        cache_(model.config(), model.parallel().size(), sequences + 1, page_rows_,
               model.numerics().dtype) {
    at::Generator generator = at::detail::createCPUGenerator(draw.seed());
    for (int64_t layer = 0; layer < model.config().num_hidden_layers; ++layer) {
      for (int64_t rank = 0; rank < model.parallel().size(); ++rank) {
        at::Tensor(cache_.page(layer, rank).k).normal_(0, 1, generator);
        at::Tensor(cache_.page(layer, rank).v).normal_(0, 1, generator);
      }
    }
  }

  // ids, positions, slots, block_table, cu_seqlens, seq_lens, rows.
  Tensors inputs(Draw& draw, int64_t sequences) const {
    std::vector<int64_t> ids, positions, slots;
    std::vector<int32_t> pages, lengths;
    for (int64_t s = 0; s < sequences; ++s) {
      ids.push_back(draw.between(0, model_.config().vocab_size - 1));
      positions.push_back(draw.between(0, page_rows_ - 1));
      slots.push_back((s + 1) * page_rows_ + positions.back());
      pages.push_back(static_cast<int32_t>(s + 1));
      lengths.push_back(static_cast<int32_t>(positions.back() + 1));
    }
    return {at::tensor(ids).view({1, sequences}),
            at::tensor(positions).view({1, sequences}),
            at::tensor(slots),
            at::tensor(pages, at::kInt).view({sequences, 1}),
            at::arange(sequences + 1, at::kInt),
            at::tensor(lengths, at::kInt),
            at::arange(sequences)};
  }

  Program program() const {
    return [this](const Tensors& in) -> Tensors {
      const c10::NoGradGuard no_grad;
      const PagedAttention attention(model_.numerics(), cache_, {in[2], in[3], in[4], in[5]},
                                     model_.attention_scale());
      return {model_.forward(in[0], in[1], attention, in[6])
                  .view_symint({in[6].sym_size(0), model_.padded_vocab()})};
    };
  }

  // For a Replayer: no slot and no sequence is padding.
  static std::vector<BucketedInput> bucketed(bool is_full) {
    return {{at::kLong, {{0, 1}, {1, 0}}, {0, 0}},  {at::kLong, {{0, 1}, {1, 0}}, {0, 0}},
            {at::kLong, {{1, 0}}, {0, -1}},         {at::kInt, {{1, 0}, {0, 1}}, {0, 0}, !is_full},
            {at::kInt, {{1, 1}}, {1, 0}, !is_full}, {at::kInt, {{1, 0}}, {0, 0}, !is_full},
            {at::kLong, {{1, 0}}, {0, 0}}};
  }

  static std::vector<DynamicDim> dynamic_dims() {
    return {{0, 1, "tokens", 1},    {1, 1, "tokens", 1},     {2, 0, "tokens", 1},
            {3, 0, "sequences", 1}, {4, 0, "boundaries", 2}, {5, 0, "sequences", 1},
            {6, 0, "rows", 1}};
  }

 private:
  const Decoder& model_;
  int64_t page_rows_;
  KvCache cache_;
};

std::shared_ptr<Arena> pool() { return std::make_shared<Arena>(size_t{1} << 28); }

// A step captured at the sizes of `examples`: its graph whole, or in pieces between attentions.
class CapturedStep {
 public:
  CapturedStep(const Program& program, const Tensors& examples, bool is_full)
      : captured_(program, DecodeStep::dynamic_dims(), GuardPolicy::kKeep),
        is_dynamic_(examples.size(), false),
        buffers_(examples.size()) {
    const std::vector<BucketedInput> inputs = DecodeStep::bucketed(is_full);
    for (size_t i = 0; i < examples.size(); ++i) {
      is_dynamic_[i] = inputs[i].is_dynamic;
      if (is_dynamic_[i]) continue;
      buffers_[i] = pool_->make_buffer(fmt::format("static input {}", i), examples[i].sizes(),
                                       examples[i].scalar_type());
    }
    const auto served = captured_.serve(padded(examples));
    replay_ = std::make_unique<BucketReplay>(
        "step",
        passes::split(served.graph, is_full ? std::vector<std::string>() : attention_operators()),
        is_dynamic_, pool_);
    replay_->capture(padded(examples), served.symbols);
  }

  bool is_static(size_t input) const { return !is_dynamic_[input]; }
  void copy_input(size_t index, const at::Tensor& value) {
    if (is_static(index)) pool_->copy(buffers_[index], value, {});
  }
  at::Tensor replay(const Tensors& values) {
    const Tensors inputs = padded(values);
    return replay_->run(inputs, captured_.serve(inputs).symbols)[0].clone();
  }
  at::Tensor operator()(const Tensors& values) {
    for (size_t i = 0; i < values.size(); ++i) copy_input(i, values[i]);
    return replay(values);
  }

 private:
  Tensors padded(const Tensors& values) const {
    Tensors inputs = values;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!is_dynamic_[i]) inputs[i] = buffers_[i].memory;
    }
    return inputs;
  }

  CapturedProgram captured_;
  std::vector<bool> is_dynamic_;
  std::vector<StaticBuffer> buffers_;
  std::shared_ptr<ReplayPool> pool_ = std::make_shared<EmulatedPool>(pool());
  std::unique_ptr<BucketReplay> replay_;
};

class ModesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { at::set_num_threads(1); }  // models too small for more
  static void TearDownTestSuite() {
    std::string faults;
    for (const auto& [name, count] : caught_) {
      faults += fmt::format("{}{} {}", faults.empty() ? "" : ", ", name, count);
    }
    fmt::print(
        "modes: {} models, {} runs, {} differences; {} faults planted, {} caught ({}), {} clean "
        "twins, {} not silent\n",
        models(), runs_, differences_, planted_, planted_ - missed_, faults, twins_, loud_);
    std::fflush(stdout);
  }

  static void expect_same(const std::string& what, bool is_same) {
    ++runs_;
    if (is_same) return;
    ++differences_;
    ADD_FAILURE() << what << " differs from eager";
  }

  static void expect_caught(const std::string& fault, bool is_caught, const std::string& found) {
    ++planted_;
    ++(is_caught ? caught_[fault] : missed_);
    EXPECT_TRUE(is_caught) << fault << " was not caught; what was found: \"" << found << '"';
  }
  static void expect_caught(const std::string& fault, const std::string& found,
                            const std::string& words) {
    expect_caught(fault, found.find(words) != std::string::npos, found);
  }

  static void expect_silent(const std::string& fault, bool is_silent,
                            const std::string& found = "") {
    ++twins_;
    loud_ += is_silent ? 0 : 1;
    EXPECT_TRUE(is_silent) << "the clean twin of " << fault << " was not silent: " << found;
  }

  static void run_every_mode(Draw& draw, const RandomModel& random);
  static void run_conditional_gathers(Draw& draw, const RandomModel& random);
  static void run_random_buckets(Draw& draw, const Decoder& model);

  static void plant_replaced_parameter(Draw& draw, const RandomModel& random, int64_t tp);
  static void plant_moved_parameter(Draw& draw, const Decoder& model);
  static void plant_missing_narrow(Draw& draw, const RandomModel& random);
  static void plant_reused_block(Draw& draw, const Decoder& model);
  static void plant_skipped_copy(Draw& draw, const Decoder& model);

 private:
  inline static int64_t runs_ = 0, differences_ = 0, planted_ = 0, missed_ = 0, twins_ = 0,
                        loud_ = 0;
  inline static std::map<std::string, int64_t> caught_;
};

// ---- The same bits ------------------------------------------------------------------------------

void ModesTest::run_every_mode(Draw& draw, const RandomModel& random) {
  const int64_t new_tokens = draw.between(1, 10);
  const int64_t longest = draw.between(1, 20);
  const auto requests = random_requests(draw, random.config, longest);
  const Sampling sampling = random_sampling(draw, new_tokens);
  const auto one = random.build(1);
  const auto settings = [&](Execution execution, GuardPolicy guards = GuardPolicy::kKeep) {
    return random_settings(draw, longest + new_tokens, execution, guards);
  };
  const auto expected = Engine(*one, settings(Execution::kEager)).generate(requests, sampling);
  // The same continuations given, to be scored.
  std::vector<Request> forced = requests;
  for (size_t i = 0; i < forced.size(); ++i) forced[i].forced = expected[i].tokens;

  struct Mode {
    std::string name;
    Execution execution;
    GuardPolicy guards;
    std::vector<GraphPass> passes = {};
  };
  std::vector<GraphPass> passes = {GraphPass::kCommonSubexpressions, GraphPass::kDeadCode,
                                   GraphPass::kFuse};
  if (draw.coin()) std::reverse(passes.begin(), passes.end());
  const std::vector<Mode> modes = {
      {"eager", Execution::kEager, GuardPolicy::kKeep},
      {"captured, guards kept", Execution::kCaptured, GuardPolicy::kKeep},
      {"captured, guards dropped", Execution::kCaptured, GuardPolicy::kDrop},
      {"captured, passes", Execution::kCaptured, GuardPolicy::kKeep, passes},
      {"piecewise, guards kept", Execution::kPiecewise, GuardPolicy::kKeep},
      {"piecewise, guards dropped", Execution::kPiecewise, GuardPolicy::kDrop},
      {"piecewise, passes", Execution::kPiecewise, GuardPolicy::kKeep, passes},
      {"full graph, guards kept", Execution::kFullGraph, GuardPolicy::kKeep},
      {"full graphs always", Execution::kFullGraphAlways, GuardPolicy::kKeep},
      {"full graphs and pieces", Execution::kFullAndPiecewise, GuardPolicy::kKeep},
      {"full graph, guards dropped", Execution::kFullGraph, GuardPolicy::kDrop},
      {"full graph, passes", Execution::kFullGraph, GuardPolicy::kKeep, passes},
  };
  for (const int64_t tp : random.degrees) {
    const auto model = random.build(tp);
    for (const Mode& mode : modes) {
      EngineSettings chosen = settings(mode.execution, mode.guards);
      chosen.mode.passes = mode.passes;
      Engine engine(*model, chosen);
      const std::string what =
          fmt::format("TP {}, {}, budget {}, {} pages of {}", tp, mode.name,
                      chosen.max_batch_tokens, chosen.blocks, chosen.block_size);
      expect_same(what, same(engine.generate(requests, sampling), expected));
      expect_same(what + ", forced", same(engine.generate(forced, {}), expected));
      if (mode.execution == Execution::kEager) continue;
      EXPECT_EQ(engine.runner().witness().eager_calls, 0) << mode.name;
    }
    run_random_buckets(draw, *model);
  }
}

// Gathers that are cut only where a size does not divide: right as long as guards are kept; once
// they are dropped, never wrong without a guard that says so.
void ModesTest::run_conditional_gathers(Draw& draw, const RandomModel& random) {
  const auto requests = random_requests(draw, random.config, 20);
  const Sampling sampling = random_sampling(draw, draw.between(1, 10));
  const auto one = random.build(1);
  const auto settings = [&](Execution execution, GuardPolicy guards) {
    return random_settings(draw, 30, execution, guards);
  };
  const auto expected =
      Engine(*one, settings(Execution::kEager, GuardPolicy::kKeep)).generate(requests, sampling);
  const auto two = random.build(2, GatheredSize::kConditional);
  const auto narrowing = random.build(2, GatheredSize::kConsumer);
  for (const Execution execution :
       {Execution::kCaptured, Execution::kPiecewise, Execution::kFullGraph}) {
    Engine kept(*two, settings(execution, GuardPolicy::kKeep));
    expect_same("conditional gathers, guards kept",
                same(kept.generate(requests, sampling), expected));

    Engine dropped(*two, settings(execution, GuardPolicy::kDrop));
    std::vector<Completion> found;
    const std::string error = message_of([&] { found = dropped.generate(requests, sampling); });
    const std::vector<GuardRecord> guards = dropped.runner().guards();
    const bool is_told = std::any_of(guards.begin(), guards.end(), [](const GuardRecord& guard) {
      return !guard.false_at.empty();
    });
    // Narrowed where it is taken, the same gather with the same guards is right all the same.
    Engine consumer(*narrowing, settings(execution, GuardPolicy::kDrop));
    expect_same("conditional gathers, guards dropped, narrowed by the consumer",
                same(consumer.generate(requests, sampling), expected));
    if (is_told) continue;
    expect_same("conditional gathers, guards dropped, none false",
                error.empty() && same(found, expected));
  }
}

// The engine's buckets follow from its budget; a replayer takes any.
void ModesTest::run_random_buckets(Draw& draw, const Decoder& model) {
  std::vector<int64_t> sizes;
  for (int64_t size = draw.between(1, 3); sizes.size() < 3; size += draw.between(1, 5)) {
    sizes.push_back(size);
  }
  const DecodeStep step(model, draw, sizes.back());
  const Program program = step.program();
  for (const bool is_full : {true, false}) {
    CapturedProgram captured(program, DecodeStep::dynamic_dims(), GuardPolicy::kKeep);
    Replayer replayer("step", captured, DecodeStep::bucketed(is_full), {Buckets(sizes)},
                      std::make_shared<EmulatedPool>(pool()),
                      is_full ? std::vector<std::string>() : attention_operators());
    for (int run = 0; run < 3; ++run) {
      const int64_t tokens = draw.between(1, sizes.back());
      const Tensors inputs = step.inputs(draw, tokens);
      expect_same(fmt::format("a {} step of {} in buckets {}", is_full ? "full" : "piecewise",
                              tokens, fmt::join(sizes, ", ")),
                  same_bits(replayer.run(inputs, {{tokens}, {tokens}})[0], program(inputs)[0]));
    }
  }
}

TEST_F(ModesTest, EveryModeOfARandomModelGivesEagersBits) {
  ASSERT_GT(models(), 0U) << "SAMEBITS_RANDOM_MODELS: expected a number";
  for (uint64_t seed = 0; seed < models(); ++seed) {
    Draw draw(seed);
    const RandomModel random(draw);
    SCOPED_TRACE(fmt::format("seed {}: {}", seed, random.str()));
    run_every_mode(draw, random);
    if (random.degrees.size() == 2) run_conditional_gathers(draw, random);
  }
}

// ---- One planted fault each ---------------------------------------------------------------------

// A user loads new weights by assigning tensors, and something else keeps the old ones alive. The
// twin writes into them.
void ModesTest::plant_replaced_parameter(Draw& draw, const RandomModel& random, int64_t tp) {
  const std::string fault = "replaced parameter";
  const c10::NoGradGuard no_grad;
  const auto model = random.build(tp);
  const auto requests = random_requests(draw, random.config, 12);
  const Sampling sampling = random_sampling(draw, 4);
  const auto eager = [&] {
    return Engine(*model, random_settings(draw, 16, Execution::kEager))
        .generate(requests, sampling);
  };
  Engine engine(*model, random_settings(
                            draw, 16, draw.coin() ? Execution::kPiecewise : Execution::kFullGraph));
  expect_silent(fault, same(engine.generate(requests, sampling), eager()));
  Parameter& parameter =
      model->parameters()[draw.between(0, static_cast<int64_t>(model->parameters().size()) - 1)];
  parameter.tensor.mul_(2);
  expect_silent(fault, same(engine.generate(requests, sampling), eager()));

  const at::Tensor old = parameter.tensor;
  parameter.tensor = old.clone();
  expect_caught(
      fault, message_of([&] { engine.generate(requests, sampling); }),
      fmt::format("captured graphs hold {} by address, and it was replaced since", parameter.name));
}

// A user gives a parameter other memory in place, as swapping weights in and out does.
void ModesTest::plant_moved_parameter(Draw& draw, const Decoder& model) {
  const std::string fault = "moved parameter";
  const c10::NoGradGuard no_grad;
  const DecodeStep step(model, draw, 4);
  const Program program = step.program();
  const Tensors inputs = step.inputs(draw, 4);
  CapturedStep graph(program, inputs, /*is_full=*/draw.coin());
  const at::Tensor& parameter = draw.one_of(model.parameters()).tensor;
  at::Tensor local = is_dtensor(parameter) ? draw.one_of(locals_of(parameter)) : parameter;
  local.mul_(2);
  expect_silent(fault, same_bits(graph(inputs), program(inputs)[0]));

  const bool is_kept = draw.coin();
  const at::Tensor old = is_kept ? local.detach() : at::Tensor();
  local.set_(local.clone());
  expect_caught(fault, message_of([&] { graph(inputs); }),
                is_kept ? "takes has moved" : "takes was freed");
}

// A mesh whose gathers are cut only where a size does not divide, traced where it does, its guards
// dropped and served where it does not.
void ModesTest::plant_missing_narrow(Draw& draw, const RandomModel& random) {
  const std::string fault = "missing narrow";
  const int64_t even = 2 * draw.between(1, 4);
  const int64_t odd = 2 * draw.between(0, 4) + 1;
  for (const GatheredSize rule : {GatheredSize::kNarrow, GatheredSize::kConditional}) {
    const auto model = random.build(2, rule);
    const DecodeStep step(*model, draw, 9);
    const Program program = step.program();
    CapturedProgram captured(program, DecodeStep::dynamic_dims(), GuardPolicy::kDrop);
    const Tensors traced = step.inputs(draw, even);
    const Tensors served = step.inputs(draw, odd);
    expect_silent(fault, same_bits(captured(traced)[0], program(traced)[0]));

    Tensors found;
    const std::string error = message_of([&] { found = captured(served); });
    const bool is_right = error.empty() && same_bits(found[0], program(served)[0]);
    std::string sizes;
    const auto mismatches = symbol_oracle(*captured.graphs()[0], program, served);
    if (!mismatches.empty()) sizes = mismatches[0].str();
    if (rule == GatheredSize::kNarrow) {
      expect_silent(fault, is_right && sizes.empty(), error + sizes);
    } else {
      EXPECT_FALSE(is_right) << "served " << odd << ", traced at " << even;
      EXPECT_THAT(sizes, HasSubstr("eager gives ["));
      expect_caught(fault, sizes, "evaluates to [");
      const std::vector<GuardRecord> ledger = captured.ledger();
      EXPECT_TRUE(std::any_of(ledger.begin(), ledger.end(),
                              [](const auto& guard) { return !guard.false_at.empty(); }));
    }
  }
}

// A user keeps an output of one graph while another of the same pool is replayed. The twin copies
// it first.
void ModesTest::plant_reused_block(Draw& draw, const Decoder& model) {
  const std::string fault = "reused block";
  const DecodeStep step(model, draw, 4);
  const Program program = step.program();
  const Tensors four = step.inputs(draw, 4);
  const Tensors few = step.inputs(draw, draw.between(1, 4));
  const auto shared = pool();
  Emulated first("first", shared, program, four);
  Emulated second("second", shared, program, few);
  const at::Tensor expected = program(four)[0];
  expect_silent(fault, same_bits(first.replay_with(four)[0], expected));
  const GraphOutput kept = first.output(0);
  expect_silent(fault, same_bits(kept.read(), expected));
  expect_silent(fault, same_bits(second.replay_with(few)[0], program(few)[0]));
  at::Tensor still;
  std::string found = message_of([&] { still = kept.read(); });
  std::string writer = "second";
  if (found.empty()) {
    // A smaller graph need not have taken that block, and then nothing is wrong.
    expect_silent(fault, same_bits(still, expected));
    first.replay_with(step.inputs(draw, 4));
    found = message_of([&] { kept.read(); });
    writer = "first";
  }
  // By the graph, or by a copy to one of its inputs.
  const bool is_named = found.find("output 0 of first is gone: its memory was written since by ") !=
                            std::string::npos &&
                        found.rfind(writer) == found.size() - writer.size();
  expect_caught(fault, is_named, found);
}

// A user forgets one input of a step, or to refresh what is copied to it.
void ModesTest::plant_skipped_copy(Draw& draw, const Decoder& model) {
  const DecodeStep step(model, draw, 4);
  const Program program = step.program();
  const Tensors before = step.inputs(draw, 4);
  const Tensors now = step.inputs(draw, 4);
  CapturedStep graph(program, before, /*is_full=*/draw.coin());
  expect_silent("skipped copy", same_bits(graph(before), program(before)[0]));
  size_t forgotten = 0;
  do {
    forgotten = static_cast<size_t>(draw.between(0, static_cast<int64_t>(now.size()) - 1));
  } while (!graph.is_static(forgotten));
  for (size_t i = 0; i < now.size(); ++i) {
    if (i != forgotten) graph.copy_input(i, now[i]);
  }
  expect_caught("skipped copy", message_of([&] { graph.replay(now); }),
                fmt::format("(static input {}) was not written since the last replay", forgotten));
  expect_silent("skipped copy", same_bits(graph(now), program(now)[0]));

  // Copied, but each token is another: only a comparison with eager can tell.
  Tensors stale = now;
  stale[0] = (now[0] + 1).remainder(model.config().vocab_size);
  expect_caught("stale copy", !same_bits(graph(stale), program(now)[0]), "eager's bits");
  expect_silent("stale copy", same_bits(graph(now), program(now)[0]));
}

TEST_F(ModesTest, EveryPlantedFaultIsCaughtAndItsCleanTwinIsSilent) {
  ASSERT_GT(models(), 0U) << "SAMEBITS_RANDOM_MODELS: expected a number";
  for (uint64_t seed = 0; seed < models(); ++seed) {
    Draw draw(seed);
    RandomModel random(draw);
    random.config.eos_token_ids.clear();  // so that every run decodes
    SCOPED_TRACE(fmt::format("seed {}: {}", seed, random.str()));
    const int64_t tp = draw.one_of(random.degrees);
    plant_replaced_parameter(draw, random, tp);
    plant_moved_parameter(draw, *random.build(tp));
    if (random.degrees.size() == 2) plant_missing_narrow(draw, random);
    const auto model = random.build(tp);
    plant_reused_block(draw, *model);
    plant_skipped_copy(draw, *model);
  }
}

}  // namespace
}  // namespace samebits
