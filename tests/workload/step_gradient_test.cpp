// The gradient of a step as the trainer makes it, against its statement
// (harness/kernels/step_gradient.h): each group by itself, then the tree; and the same bits however
// the step is cut.

#include "harness/workload/step_gradient.h"

#include <gtest/gtest.h>

#include <random>

#include "harness/kernels/step_gradient.h"
#include "harness/workload/trainer.h"
#include "tests/mesh/processes.h"
#include "tests/support/random_model.h"

namespace samebits {
namespace {

using testing::random_model;
using testing::same_bits;
using testing::small_config;

using Tensors = std::vector<at::Tensor>;

// Lengths on both sides of a step of 16; every seventh completion is empty. The generator's
// logprobs are near the model's, so that no ratio drowns the other sequences.
std::vector<Sample> samples_from(uint64_t seed, int64_t count) {
  const at::NoGradGuard no_grad;
  const auto model = random_model(small_config(), Numerics(), 1, 11);
  std::mt19937_64 random(seed);
  std::vector<Sample> samples;
  for (int64_t i = 0; i < count; ++i) {
    Sample sample;
    sample.prompt_length = 1 + static_cast<int64_t>(random() % 12);
    const size_t length = sample.prompt_length + (i % 7 == 6 ? 0 : 1 + random() % 20);
    for (size_t t = 0; t < length; ++t) sample.tokens.push_back(1 + random() % 60);
    sample.advantage = static_cast<float>(random() % 200) / 100.0f - 1.0f;
    if (i % 7 != 6) {
      const at::Tensor logprobs = sequence_logprobs(*model, sample.tokens, sample.prompt_length);
      for (int64_t t = 0; t < logprobs.numel(); ++t) {
        const float off = static_cast<float>(random() % 100) * 1e-4f - 5e-3f;
        sample.logprobs.push_back(logprobs.const_data_ptr<float>()[t] + off);
      }
    }
    samples.push_back(sample);
  }
  return samples;
}

// No entropy term: the shares of a sequence then do not depend on how many tokens others have, and
// a group can be trained on alone.
constexpr LossSettings kLoss = {.entropy = 0};

struct Way {
  int64_t groups = 8;
  int64_t max_tokens = 40;
  int64_t tp = 1;
  Execution execution = Execution::kEager;
  LossSettings loss = kLoss;
  Numerics numerics = {};
};

struct Made {
  Tensors gradient;
  TrainResult result;
  int64_t micro_batches;
};

Made make(const std::vector<Sample>& samples, const Way& way,
          const Replicas& replicas = kOneReplica) {
  const auto model = random_model(small_config(), way.numerics, way.tp, 11);
  const Mode mode{way.execution};
  Optimizer optimizer(*model, {}, mode, way.groups / replicas.size());
  Trainer trainer(*model, optimizer,
                  {.loss = way.loss,
                   .sequences = static_cast<int64_t>(samples.size()),
                   .max_tokens = way.max_tokens},
                  mode, replicas);
  Made made;
  made.result = trainer.accumulate(samples);
  for (const at::Tensor& sum : optimizer.gradient().whole()) {
    made.gradient.push_back(model->parallel().to_plain(sum).clone());
  }
  const Witness witness = trainer.program().witness();
  made.micro_batches = witness.eager_calls + witness.runs;
  return made;
}

bool same(const Tensors& a, const Tensors& b) {
  bool equal = a.size() == b.size();
  for (size_t i = 0; equal && i < a.size(); ++i) equal = same_bits(a[i], b[i]);
  return equal;
}

bool same(const Made& a, const Made& b) {
  const auto numbers = [](const TrainResult& r) {
    return at::tensor({r.loss, r.pg, r.entropy, r.kl, static_cast<float>(r.clipped)});
  };
  return same(a.gradient, b.gradient) && same_bits(numbers(a.result), numbers(b.result)) &&
         a.result.logprobs == b.result.logprobs;
}

Tensors added(const Tensors& a, const Tensors& b) {
  Tensors sums;
  for (size_t i = 0; i < a.size(); ++i) sums.push_back(a[i] + b[i]);
  return sums;
}

// Each of `groups` groups trained on alone, all others' completions taken away; `edge` moves where
// the second one begins.
std::vector<Made> groups_alone(const std::vector<Sample>& samples, int64_t groups,
                               int64_t edge = 0) {
  const auto n = static_cast<int64_t>(samples.size());
  std::vector<Made> alone;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t first = first_of_group(g, n, groups) + (g == 1 ? edge : 0);
    const int64_t end = first_of_group(g + 1, n, groups) + (g == 0 ? edge : 0);
    std::vector<Sample> own = samples;
    for (int64_t i = 0; i < n; ++i) {
      if (i >= first && i < end) continue;
      own[i].tokens.resize(own[i].prompt_length);
      own[i].logprobs.clear();
    }
    alone.push_back(make(own, {.groups = 1}));
  }
  return alone;
}

Tensors tree(std::vector<Made> groups) {
  while (groups.size() > 1) {
    std::vector<Made> joined(groups.size() / 2);
    for (size_t i = 0; i < joined.size(); ++i) {
      joined[i].gradient = added(groups[2 * i].gradient, groups[2 * i + 1].gradient);
    }
    groups = std::move(joined);
  }
  return groups[0].gradient;
}

TEST(StepGradientTest, IsTheTreeOfItsGroups) {
  for (const int64_t n : {3, 13}) {  // fewer than groups, too
    const std::vector<Sample> samples = samples_from(n, n);
    for (const int64_t groups : {2, 8}) {
      const std::vector<Made> alone = groups_alone(samples, groups);
      EXPECT_TRUE(same(make(samples, {.groups = groups}).gradient, tree(alone)))
          << n << " sequences, " << groups << " groups";
    }
  }
}

TEST(StepGradientTest, AnotherTreeOrAnEdgeThatIsOffByOneIsSeen) {
  const std::vector<Sample> samples = samples_from(13, 13);
  const Made made = make(samples, {.groups = 4});
  const std::vector<Made> alone = groups_alone(samples, 4);
  EXPECT_TRUE(same(made.gradient, tree(alone)));
  Tensors in_a_row = alone[0].gradient;
  for (int64_t g = 1; g < 4; ++g) in_a_row = added(in_a_row, alone[g].gradient);
  EXPECT_FALSE(same(made.gradient, in_a_row));
  EXPECT_FALSE(same(made.gradient, tree(groups_alone(samples, 4, /*edge=*/1))));
}

TEST(StepGradientTest, EveryCutIntoMicroBatchesGivesTheSameBits) {
  for (const at::ScalarType dtype : {at::kBFloat16, at::kFloat}) {
    Numerics numerics;
    numerics.dtype = dtype;
    const std::vector<Sample> samples = samples_from(5, 13);
    for (const int64_t groups : {1, 2, 8}) {
      Way way{.groups = groups, .max_tokens = 1, .loss = {}, .numerics = numerics};
      const Made one_by_one = make(samples, way);
      EXPECT_EQ(one_by_one.micro_batches, 12);  // one completion is empty
      for (const int64_t max_tokens : {33, 50, 1000}) {
        way.max_tokens = max_tokens;
        const Made packed = make(samples, way);
        EXPECT_TRUE(same(packed, one_by_one)) << groups << " groups, " << max_tokens << " tokens";
        EXPECT_LE(packed.micro_batches, 12);
      }
      EXPECT_EQ(make(samples, way).micro_batches, 1) << "all groups at once";
    }
  }
}

TEST(StepGradientTest, ModesAndTpDegreesOfAPackedStepTooAndTheKlTermOfTheFirstWeights) {
  std::vector<Sample> samples = samples_from(6, 9);
  for (Sample& sample : samples) {
    for (const float logprob : sample.logprobs) sample.initial_logprobs.push_back(logprob - 0.01f);
  }
  for (const KlReference reference : {KlReference::kGenerator, KlReference::kInitial}) {
    Way way{.groups = 2, .max_tokens = 1, .loss = {.kl_reference = reference}};
    const Made expected = make(samples, way);
    way.max_tokens = 60;
    for (const Execution execution : {Execution::kEager, Execution::kCaptured}) {
      for (const int64_t tp : {1, 2, 8}) {
        way.execution = execution;
        way.tp = tp;
        EXPECT_TRUE(same(make(samples, way), expected)) << tp;
      }
    }
  }
}

// A key that moves bits, and so a part of a golden's settings.
TEST(StepGradientTest, ThereIsAGradientForEveryNumberOfGroups) {
  const std::vector<Sample> samples = samples_from(5, 13);
  const Made one = make(samples, {.groups = 1});
  const Made two = make(samples, {.groups = 2});
  EXPECT_FALSE(same(one.gradient, two.gradient));
  EXPECT_FALSE(same(two.gradient, make(samples, {.groups = 8}).gradient));
  EXPECT_EQ(one.result.logprobs, two.result.logprobs);
}

TEST(StepGradientTest, AnEmptyCompletionIsCountedAndAddsNothing) {
  std::vector<Sample> samples = samples_from(8, 4);
  const Made all = make(samples, {.groups = 2});
  samples[1].tokens.resize(samples[1].prompt_length);
  samples[1].logprobs.clear();
  const Made without = make(samples, {.groups = 2});
  EXPECT_FALSE(same(all.gradient, without.gradient));
  EXPECT_TRUE(without.result.logprobs[1].empty());
  EXPECT_EQ(without.result.logprobs[2], all.result.logprobs[2]);
  for (Sample& sample : samples) {
    sample.tokens.resize(sample.prompt_length);
    sample.logprobs.clear();
  }
  const Made nothing = make(samples, {.groups = 2});
  for (const at::Tensor& sum : nothing.gradient) {
    EXPECT_TRUE(same_bits(sum, at::zeros_like(sum)));
  }
  EXPECT_EQ(nothing.result.loss, 0.0f);
}

TEST(StepGradientTest, AtMostLogTwoOfTheGroupsAndOneSetsOfSumsAreMade) {
  const auto model = random_model(small_config(), Numerics(), 1, 11);
  for (const auto& [groups, sets] :
       std::vector<std::pair<int64_t, size_t>>{{1, 1}, {2, 2}, {8, 4}}) {
    StepGradient gradient(*model, groups);
    for (int64_t i = 0; i < 3 * groups; ++i) gradient.end_groups();
    EXPECT_EQ(gradient.sets(), sets);
  }
  for (const int64_t groups : {0, 3, -8}) EXPECT_THROW(StepGradient(*model, groups), c10::Error);
}

// LibTorch's own operators give their gradients to autograd, and they are added all the same.
TEST(StepGradientTest, PlainKernelsHaveAGradientToo) {
  Numerics numerics;
  numerics.contract = numerics.flash = numerics.tp_invariant = false;
  const std::vector<Sample> samples = samples_from(5, 6);
  const Made plain = make(samples, {.numerics = numerics});
  const Made contract = make(samples, {});
  ASSERT_EQ(plain.gradient.size(), contract.gradient.size());
  for (size_t i = 0; i < plain.gradient.size(); ++i) {
    const double norm = contract.gradient[i].norm().item<double>();
    EXPECT_GT(norm, 0);
    EXPECT_LT((plain.gradient[i] - contract.gradient[i]).norm().item<double>(), 0.1 * norm) << i;
  }
}

// What each of `dp` replicas makes of a step; `of_replica` gives the samples that it takes them
// for.
std::vector<Made> made_by_replicas(
    int64_t dp, const Way& way,
    const std::function<std::vector<Sample>(int64_t replica)>& of_replica) {
  std::vector<Made> made(static_cast<size_t>(dp));
  testing::run_ranks(dp, [&](std::unique_ptr<Transport> transport) {
    const Replicas replicas(std::move(transport));
    made[replicas.index()] = make(of_replica(replicas.index()), way, replicas);
  });
  return made;
}

TEST(StepGradient, ReplicasGiveTheBitsOfOneProcess) {
  for (const int64_t count : {5, 13}) {  // some replicas have no sequence, or one without a token
    const std::vector<Sample> samples = samples_from(static_cast<uint64_t>(count), count);
    for (const Way& way : {Way{}, Way{.max_tokens = 1000}, Way{.groups = 16, .loss = {}},
                           Way{.tp = 2, .execution = Execution::kCaptured}}) {
      const Made expected = make(samples, way);
      for (const int64_t dp : {2, 4, 8}) {
        for (const Made& made : made_by_replicas(dp, way, [&](int64_t) { return samples; })) {
          EXPECT_TRUE(same(made, expected)) << dp << " replicas, " << count << " sequences";
        }
      }
    }
  }
}

TEST(StepGradient, AReplicaThatGivesNothingIsSeen) {
  const std::vector<Sample> samples = samples_from(3, 13);
  std::vector<Sample> without = samples;
  for (Sample& sample : without) sample.advantage = 0;
  const Made expected = make(samples, {});
  const auto made =
      made_by_replicas(4, {}, [&](int64_t replica) { return replica == 2 ? without : samples; });
  for (const Made& each : made) EXPECT_FALSE(same(each.gradient, expected.gradient));
}

}  // namespace
}  // namespace samebits
