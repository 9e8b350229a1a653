#include "harness/workload/engine.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <random>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/workload/trainer.h"
#include "tests/support/message_of.h"
#include "tests/support/random_model.h"

namespace samebits {
namespace {

using testing::random_model;
using testing::small_config;

constexpr int64_t kNewTokens = 12;

EngineSettings settings_for(int64_t max_batch_tokens, int64_t block_size, int64_t blocks,
                            Execution execution = Execution::kEager) {
  EngineSettings settings;
  settings.max_batch_tokens = max_batch_tokens;
  settings.block_size = block_size;
  settings.blocks = blocks;
  settings.mode.execution = execution;
  return settings;
}

std::vector<Request> random_requests(uint64_t seed, int64_t count) {
  std::mt19937_64 random(seed);
  std::vector<Request> requests;
  for (int64_t i = 0; i < count; ++i) {
    Request request;
    request.id = i;
    const size_t length = 1 + random() % 20;
    for (size_t t = 0; t < length; ++t) request.prompt.push_back(1 + random() % 60);
    requests.push_back(request);
  }
  return requests;
}

Witness witness_of(const Engine& engine) { return engine.runner().witness(); }

Sampling sampling_with(double temperature) { return {/*seed=*/7, kNewTokens, temperature, 0, 1.0}; }

void expect_same(const std::vector<Completion>& a, const std::vector<Completion>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].tokens, b[i].tokens) << "sequence " << i;
    ASSERT_EQ(a[i].logprobs.size(), b[i].logprobs.size());
    EXPECT_EQ(std::memcmp(a[i].logprobs.data(), b[i].logprobs.data(),
                          a[i].logprobs.size() * sizeof(float)),
              0)
        << "logprobs of sequence " << i;
  }
}

std::vector<Completion> generate(const Decoder& model, const EngineSettings& settings,
                                 const std::vector<Request>& requests) {
  return Engine(model, settings).generate(requests, sampling_with(1.0));
}

class EngineTest : public ::testing::Test {
 protected:
  std::unique_ptr<Decoder> model_ = random_model(small_config(), Numerics(), 1, 3);
  std::vector<Request> requests_ = random_requests(5, 9);
  std::vector<Completion> expected_ = generate(*model_, settings_for(256, 16, 64), requests_);
};

TEST_F(EngineTest, BatchBudgetAndPageSizeDoNotMoveABit) {
  for (const int64_t budget : {1, 3, 16, 64}) {
    for (const int64_t block_size : {1, 4, 16}) {
      expect_same(generate(*model_, settings_for(budget, block_size, 256), requests_), expected_);
    }
  }
}

TEST_F(EngineTest, FewPagesQueueSequencesButDoNotMoveABit) {
  expect_same(generate(*model_, settings_for(256, 16, 2), requests_), expected_);
}

TEST_F(EngineTest, ASequenceAloneIsTheSequenceInABatch) {
  for (size_t i = 0; i < requests_.size(); ++i) {
    expect_same(generate(*model_, settings_for(256, 16, 64), {requests_[i]}), {expected_[i]});
  }
}

TEST_F(EngineTest, EveryTpDegreeAndModeGivesTheSameBits) {
  for (const int64_t tp : {1, 2, 4, 8}) {
    const auto model = random_model(small_config(), Numerics(), tp, 3);
    for (const Execution execution :
         {Execution::kEager, Execution::kCaptured, Execution::kPiecewise, Execution::kFullGraph}) {
      expect_same(generate(*model, settings_for(16, 4, 256, execution), requests_), expected_);
    }
    if (tp > 1) continue;
    expect_same(generate(*model, settings_for(16, 4, 256, Execution::kPersistent), requests_),
                expected_);
  }
}

TEST_F(EngineTest, WithoutTpInvarianceTp2Differs) {
  Numerics numerics;
  numerics.dtype = at::kFloat;  // bfloat16 would round most differences of so small a model away
  numerics.tp_invariant = false;
  const auto one = random_model(small_config(), numerics, 1, 3);
  const auto two = random_model(small_config(), numerics, 2, 3);
  const auto a = generate(*one, settings_for(256, 16, 64), requests_);
  const auto b = generate(*two, settings_for(256, 16, 64), requests_);
  bool differs = false;
  for (size_t i = 0; i < a.size(); ++i) differs |= a[i].logprobs != b[i].logprobs;
  EXPECT_TRUE(differs);
}

TEST_F(EngineTest, DecodedLogprobsAreThoseOfOnePrefill) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < requests_.size(); ++i) {
    std::vector<int64_t> tokens = requests_[i].prompt;
    const int64_t first = static_cast<int64_t>(tokens.size());
    tokens.insert(tokens.end(), expected_[i].tokens.begin(), expected_[i].tokens.end());
    const at::Tensor whole = sequence_logprobs(*model_, tokens, first);
    EXPECT_TRUE(testing::same_bits(whole, at::tensor(expected_[i].logprobs))) << i;
  }
}

// Logprobs of `tokens` from `first` on, of which those before `kept` have the keys and values of one
// model and the others those of another.
at::Tensor logprobs_of_two(const Decoder& before, const Decoder& after,
                           const std::vector<int64_t>& tokens, int64_t kept, int64_t first) {
  const auto length = static_cast<int64_t>(tokens.size()) - 1;
  const KvCache cache(after.config(), 1, 1, length, after.numerics().dtype);
  at::Tensor logits;
  for (const auto& [model, begin, end] :
       {std::tuple(&before, int64_t{0}, kept), std::tuple(&after, kept, length)}) {
    if (begin == end) continue;
    const at::Tensor positions = at::arange(begin, end);
    const PagedAttention attention(
        model->numerics(), cache,
        {positions, at::zeros({1, 1}, at::kInt), at::tensor({int64_t{0}, end - begin}, at::kInt),
         at::tensor({end}, at::kInt)},
        model->attention_scale());
    const at::Tensor ids = at::tensor(tokens).slice(0, begin, end).unsqueeze(0);
    logits = model->forward(ids, positions.unsqueeze(0), attention, at::arange(0, end - begin));
  }
  const int64_t generated = length - first + 1;
  return after.numerics().log_softmax_gather(
      logits.view({-1, logits.size(-1)}).slice(0, logits.size(1) - generated),
      at::tensor(tokens).slice(0, first), after.config().vocab_size);
}

void copy_weights(const Decoder& from, const Decoder& to) {
  for (size_t i = 0; i < to.parameters().size(); ++i) {
    to.parameters()[i].tensor.copy_(from.parameters()[i].tensor);
  }
}

TEST_F(EngineTest, KeptPrefixesHaveTheKeysAndValuesOfTheWeightsThatComputedThem) {
  const at::NoGradGuard no_grad;
  constexpr int64_t kPage = 4;
  const auto before = random_model(small_config(), Numerics(), 1, 3);
  const auto after = random_model(small_config(), Numerics(), 1, 4);
  for (const Execution execution :
       {Execution::kEager, Execution::kPiecewise, Execution::kFullGraph}) {
    EngineSettings settings = settings_for(16, kPage, 256, execution);
    settings.keeps_prefixes = true;
    copy_weights(*before, *model_);
    Engine engine(*model_, settings);
    expect_same(engine.generate(requests_, sampling_with(1.0)), expected_);
    expect_same(engine.generate(requests_, sampling_with(1.0)), expected_);  // nothing was synced
    copy_weights(*after, *model_);
    const auto stale = engine.generate(requests_, sampling_with(1.0));
    int64_t moved = 0;
    for (size_t i = 0; i < stale.size(); ++i) {
      std::vector<int64_t> tokens = requests_[i].prompt;
      const auto first = static_cast<int64_t>(tokens.size());
      tokens.insert(tokens.end(), stale[i].tokens.begin(), stale[i].tokens.end());
      const int64_t kept = (first - 1) / kPage * kPage;
      const at::Tensor found = at::tensor(stale[i].logprobs);
      EXPECT_TRUE(testing::same_bits(found, logprobs_of_two(*before, *after, tokens, kept, first)))
          << i;
      const bool is_fresh =
          testing::same_bits(found, logprobs_of_two(*before, *after, tokens, 0, first));
      EXPECT_EQ(is_fresh, kept == 0) << i;
      moved += is_fresh ? 0 : 1;
    }
    EXPECT_GT(moved, 3);
  }
}

TEST_F(EngineTest, ForcedTokensScoreAsTheySampled) {
  std::vector<Request> forced = requests_;
  for (size_t i = 0; i < forced.size(); ++i) forced[i].forced = expected_[i].tokens;
  expect_same(Engine(*model_, settings_for(32, 4, 256)).generate(forced, {}), expected_);
}

TEST_F(EngineTest, AnotherSeedOrSequenceIdSamplesOtherTokens) {
  std::vector<Request> renamed = requests_;
  for (Request& request : renamed) request.id += 1000;
  const auto other = generate(*model_, settings_for(256, 16, 64), renamed);
  bool differs = false;
  for (size_t i = 0; i < other.size(); ++i) differs |= other[i].tokens != expected_[i].tokens;
  EXPECT_TRUE(differs);
}

TEST_F(EngineTest, OneCapturedGraphServesEveryStep) {
  Engine engine(*model_, settings_for(16, 4, 256, Execution::kCaptured));
  engine.generate(requests_, sampling_with(1.0));
  auto witness = witness_of(engine);
  EXPECT_EQ(witness.traces, 1);
  EXPECT_EQ(witness.eager_calls, 0);
  EXPECT_GT(witness.runs, 10);
  EXPECT_EQ(witness.nodes % witness.runs, 0);
}

TEST_F(EngineTest, DecodeStepsAreReplays) {
  Engine engine(*model_, settings_for(16, 4, 256, Execution::kFullGraph));
  engine.generate(requests_, sampling_with(1.0));
  auto witness = witness_of(engine);
  EXPECT_EQ(witness.eager_calls, 0);
  EXPECT_GT(witness.runs, 0);  // prefills
  EXPECT_EQ(witness.traces, 1);
  EXPECT_GT(witness.replays, kNewTokens / 2);
  EXPECT_LE(witness.captures, 5);  // one a bucket: 1, 2, 4, 8, 16
  EXPECT_EQ(witness.replay_dispatcher_calls, 0);
  EXPECT_EQ(witness.replay_allocations, 0);
}

TEST_F(EngineTest, EveryStepIsAReplayInPieces) {
  Engine engine(*model_, settings_for(16, 4, 256, Execution::kPiecewise));
  engine.generate(requests_, sampling_with(1.0));
  auto witness = witness_of(engine);
  EXPECT_EQ(witness.eager_calls, 0);
  EXPECT_EQ(witness.traces, 1);
  EXPECT_EQ(witness.runs, 0);
  const int64_t steps = witness.eager_operators / 2;  // one in each of two layers
  EXPECT_GT(steps, kNewTokens);
  EXPECT_EQ(witness.replays, 3 * steps);
  EXPECT_LE(witness.captures, 3 * 5);
  EXPECT_EQ(witness.replay_dispatcher_calls, 0);
  EXPECT_EQ(witness.replay_allocations, 0);
}

TEST_F(EngineTest, ReplayedScoresAreThoseOfSampling) {
  std::vector<Request> forced = requests_;
  for (size_t i = 0; i < forced.size(); ++i) forced[i].forced = expected_[i].tokens;
  for (const Execution execution : {Execution::kPiecewise, Execution::kFullGraph}) {
    const auto settings = settings_for(32, 4, 256, execution);
    expect_same(Engine(*model_, settings).generate(forced, {}), expected_);
  }
}

TEST_F(EngineTest, FusedGraphsAreReplayed) {
  for (const Execution execution : {Execution::kPiecewise, Execution::kFullGraph}) {
    int64_t launches = 0;
    for (const bool is_fused : {false, true}) {
      auto settings = settings_for(16, 4, 256, execution);
      if (is_fused) settings.mode.passes = {GraphPass::kFuse};
      Engine engine(*model_, settings);
      expect_same(engine.generate(requests_, sampling_with(1.0)), expected_);
      auto witness = witness_of(engine);
      if (is_fused) {
        EXPECT_LT(witness.launches, launches);
      }
      launches = witness.launches;
    }
  }
}

// The negative control: what a pass does to the bits is replayed too.
TEST_F(EngineTest, DroppedRoundingsAreReplayed) {
  for (const Execution execution : {Execution::kPiecewise, Execution::kFullGraph}) {
    auto settings = settings_for(256, 16, 64, execution);
    settings.mode.passes = {GraphPass::kDropRoundings};
    const auto found = generate(*model_, settings, requests_);
    bool differs = false;
    for (size_t i = 0; i < found.size(); ++i) differs |= found[i].logprobs != expected_[i].logprobs;
    EXPECT_TRUE(differs);
  }
}

TEST_F(EngineTest, BucketsAreTheOnesGiven) {
  for (const Execution execution : {Execution::kPiecewise, Execution::kFullGraph}) {
    auto settings = settings_for(16, 4, 256, execution);
    settings.mode.buckets = {16};
    Engine engine(*model_, settings);
    expect_same(engine.generate(requests_, sampling_with(1.0)), expected_);
    auto witness = witness_of(engine);
    EXPECT_EQ(witness.captures, execution == Execution::kPiecewise ? 3 : 1);
  }
}

// They run from the graph, node by node, and the others are replays all the same.
TEST_F(EngineTest, StepsThatNoBucketHoldsAreNoReplays) {
  for (const Execution execution : {Execution::kPiecewise, Execution::kFullGraph,
                                    Execution::kFullGraphAlways, Execution::kFullAndPiecewise}) {
    auto settings = settings_for(16, 4, 256, execution);
    settings.mode.buckets = {2, 4};
    Engine engine(*model_, settings);
    expect_same(engine.generate(requests_, sampling_with(1.0)), expected_);
    const Witness some = witness_of(engine);
    EXPECT_GT(some.replays, 0);
    EXPECT_GT(some.runs, 0);
    EXPECT_EQ(some.eager_calls, 0);
  }
}

// vLLM's default: a decode step is one replay, any other is replayed in pieces.
TEST_F(EngineTest, FullGraphsForDecodesAndPiecesForTheRest) {
  Engine engine(*model_, settings_for(16, 4, 256, Execution::kFullAndPiecewise));
  expect_same(engine.generate(requests_, sampling_with(1.0)), expected_);
  const Witness both = witness_of(engine);
  EXPECT_EQ(both.runs, 0);                             // every step is a replay
  const int64_t in_pieces = both.eager_operators / 2;  // one in each of two layers
  EXPECT_GT(in_pieces, 0);
  const int64_t whole = both.replays - 3 * in_pieces;
  Engine full(*model_, settings_for(16, 4, 256, Execution::kFullGraph));
  full.generate(requests_, sampling_with(1.0));
  EXPECT_EQ(whole, witness_of(full).replays);
  EXPECT_EQ(in_pieces, witness_of(full).runs);
}

// vLLM's FULL: prompts, too, are replays of the whole graph, attention among its launches.
TEST_F(EngineTest, FullGraphsForEveryStep) {
  Engine engine(*model_, settings_for(16, 4, 256, Execution::kFullGraphAlways));
  expect_same(engine.generate(requests_, sampling_with(1.0)), expected_);
  const Witness all = witness_of(engine);
  EXPECT_EQ(all.runs, 0);
  EXPECT_EQ(all.eager_operators, 0);
  Engine decodes(*model_, settings_for(16, 4, 256, Execution::kFullGraph));
  decodes.generate(requests_, sampling_with(1.0));
  const Witness some = witness_of(decodes);
  EXPECT_GT(some.runs, 0);
  EXPECT_EQ(all.replays, some.replays + some.runs);
}

TEST_F(EngineTest, ASizeThatIsNotDynamicIsTracedAnew) {
  auto settings = settings_for(16, 4, 256, Execution::kCaptured);
  Engine all(*model_, settings);
  expect_same(all.generate(requests_, sampling_with(1.0)), expected_);
  EXPECT_EQ(witness_of(all).traces, 1);
  settings.mode.dynamic = {"sequences", "blocks", "boundaries", "rows"};
  Engine some(*model_, settings);
  expect_same(some.generate(requests_, sampling_with(1.0)), expected_);
  EXPECT_GT(witness_of(some).traces, 1);
  settings.mode.guards = GuardPolicy::kDrop;  // one graph is all there is
  Engine one(*model_, settings);
  EXPECT_THAT(testing::message_of([&] { one.generate(requests_, sampling_with(1.0)); }),
              ::testing::HasSubstr("size of dimension 1: found 12, expected 16"));
}

TEST_F(EngineTest, WhoMeasuresGoesOnPastAnEnd) {
  DecoderConfig config = small_config();
  config.eos_token_ids = {expected_[0].tokens[0]};
  const auto model = random_model(config, Numerics(), 1, 3);
  Engine engine(*model, settings_for(256, 16, 64));
  Sampling sampling = sampling_with(1.0);
  EXPECT_EQ(engine.generate({requests_[0]}, sampling)[0].tokens.size(), 1U);
  sampling.ignores_ends = true;
  expect_same(engine.generate({requests_[0]}, sampling), {expected_[0]});
}

TEST_F(EngineTest, AListenerHearsEveryTokenOfItsRequest) {
  Engine engine(*model_, settings_for(16, 4, 256, Execution::kEager));
  std::vector<size_t> heard(requests_.size());
  engine.generate(requests_, sampling_with(1.0), nullptr, [&](size_t i) { ++heard[i]; });
  for (size_t i = 0; i < heard.size(); ++i) EXPECT_EQ(heard[i], expected_[i].tokens.size());
}

TEST_F(EngineTest, ASavedGraphIsReplayed) {
  Engine captured(*model_, settings_for(16, 4, 256, Execution::kCaptured));
  captured.generate(requests_, sampling_with(1.0));
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / fmt::format("samebits-graph-{}.json", getpid());
  write_text_file(file.string(), captured.runner().saved_graphs().at(0));
  for (const Execution execution : {Execution::kPiecewise, Execution::kFullGraph}) {
    auto settings = settings_for(16, 4, 256, execution);
    settings.mode.graph = file;
    Engine engine(*model_, settings);
    expect_same(engine.generate(requests_, sampling_with(1.0)), expected_);
    auto witness = witness_of(engine);
    EXPECT_EQ(witness.traces, 0);
    EXPECT_EQ(witness.loads, 1);
  }
  std::filesystem::remove(file);
}

TEST_F(EngineTest, WeightsUpdatedInPlaceReachAReplayAndReplacedOnesAreFound) {
  Engine engine(*model_, settings_for(256, 16, 64, Execution::kFullGraph));
  expect_same(engine.generate(requests_, sampling_with(1.0)), expected_);
  const at::NoGradGuard no_grad;
  Parameter& parameter = model_->parameters()[4];
  ASSERT_THAT(parameter.name, ::testing::HasSubstr("v_proj"));
  at::Tensor& weight = parameter.tensor;
  weight.mul_(2);
  const auto updated = generate(*model_, settings_for(256, 16, 64), requests_);
  expect_same(engine.generate(requests_, sampling_with(1.0)), updated);
  EXPECT_NE(updated[0].logprobs, expected_[0].logprobs);
  weight = weight.clone();
  EXPECT_THROW(engine.generate(requests_, sampling_with(1.0)), RunError);
}

TEST_F(EngineTest, BadRequestsAreRefused) {
  Engine engine(*model_, settings_for(256, 16, 64));
  EXPECT_THROW(engine.generate({{0, {}, {}}}, sampling_with(1.0)), InputError);
  EXPECT_THROW(engine.generate({{0, {61}, {}}}, sampling_with(1.0)), InputError);
  EXPECT_THROW(engine.generate({{0, {-1}, {}}}, sampling_with(1.0)), InputError);
  EXPECT_THROW(engine.generate({{0, std::vector<int64_t>(120, 1), {}}}, sampling_with(1.0)),
               InputError);
}

TEST_F(EngineTest, AReplacedParameterIsRefusedByEveryCapturedMode) {
  for (const Execution execution :
       {Execution::kEager, Execution::kCaptured, Execution::kPiecewise, Execution::kFullGraph}) {
    const auto model = random_model(small_config(), Numerics(), 1, 7);
    Engine engine(*model, settings_for(64, 16, 64, execution));
    const Sampling sampling{/*seed=*/3, kNewTokens, /*temperature=*/1.0, 0, 1.0};
    engine.generate(random_requests(1, 2), sampling);
    at::Tensor& weight = model->parameters()[4].tensor;
    weight.detach().mul_(2);  // in place is how weights are synced
    EXPECT_NO_THROW(engine.generate(random_requests(1, 2), sampling));
    weight = weight.detach().clone();
    if (execution == Execution::kEager) {
      EXPECT_NO_THROW(engine.generate(random_requests(1, 2), sampling));
    } else {
      EXPECT_THROW(engine.generate(random_requests(1, 2), sampling), RunError);
    }
  }
}

}  // namespace
}  // namespace samebits
