// Arms with a fault in one of them, of every kind: what it is blamed on, from a run's settings to
// the last screen's facts.
#include "harness/run/localise.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <map>

#include "harness/dispatch/dispatch_mode.h"
#include "harness/observe/run_folder.h"
#include "tests/run/support.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Facts = std::map<std::string, std::string>;

class Localise : public testing::Run {
 protected:
  // What the one pair of a run that fails is told of.
  Facts facts_of(const std::vector<std::string>& settings) {
    const ReportRecord record = run(small_case(settings), options(Existing::kReplace));
    for (const ReportRecord::Failure& failure : record.failures) {
      if (failure.title == "a and b diverge") return {failure.facts.begin(), failure.facts.end()};
    }
    ADD_FAILURE() << "a and b do not diverge: " << record.headline;
    return {};
  }
};

TEST_F(Localise, AnotherEpsilonIsAnArgumentOfTheFirstNorm) {
  const fs::path copy = copy_of_model();
  const std::string config = read(copy / "config.json");
  const std::string key = "\"rms_norm_eps\": ";
  const size_t begin = config.find(key) + key.size();
  write(copy / "config.json",
        config.substr(0, begin) + "0.01" + config.substr(config.find_first_of(",\n", begin)));
  Facts facts = facts_of({"b.model=" + copy.string()});
  EXPECT_THAT(facts["operator"], HasSubstr("layers.0.attention_norm#0"));
  EXPECT_EQ(facts["cause"], "samebits::rms_norm has other arguments: eps 1e-06 against 0.01");
  EXPECT_EQ(facts["inputs"],
            "equal: x (tok_embeddings#0) and weight (layers.0.attention_norm.weight)");
  EXPECT_THAT(facts["settings"], StartsWith("model: "));
}

TEST_F(Localise, AnotherWeightIsNamedWithItsElement) {
  const fs::path copy = copy_of_model();
  flip_bit(copy / "model.safetensors", 1001);
  Facts facts = facts_of({"b.model=" + copy.string()});
  EXPECT_THAT(facts["cause"], ::testing::MatchesRegex("input weight of samebits::.* differs: .*"
                                                      "weight, as the run began with it"));
  EXPECT_THAT(facts["weight"], StartsWith("1 of "));
}

TEST_F(Localise, AnotherSeedIsBlamedOnTheRandomNumbers) {
  Facts facts = facts_of({"b.seed=43"});
  EXPECT_THAT(facts["where"], HasSubstr("draw[0]"));
  EXPECT_EQ(facts["cause"],
            "what keys the random numbers: seed and number [42, 0] against [43, 0]");
  EXPECT_EQ(facts["settings"], "seed: 42 against 43");
}

TEST_F(Localise, AnotherClipNormIsAnArgumentOfTheScale) {
  Facts facts = facts_of({"b.workload.optimizer.clip_norm=0.001"});
  EXPECT_THAT(facts["where"], HasSubstr("weights"));
  EXPECT_THAT(facts["cause"], StartsWith("samebits::clip_scale has other arguments: clip_norm "));
  EXPECT_THAT(facts["settings"], HasSubstr("clip_norm"));
}

TEST_F(Localise, AnotherLearningRateIsAnArgumentOfTheOptimizer) {
  for (const std::string mode : {"eager", "captured"}) {
    Facts facts = facts_of({"b.workload.optimizer.lr=0.01", "b.trainer=" + mode});
    EXPECT_THAT(facts["cause"], StartsWith("samebits::adamw_ has other arguments: lr "));
  }
}

TEST_F(Localise, AnotherOrderOfASumIsAnArgumentAndFloat64TellsWhoIsNearer) {
  Facts facts = facts_of({"b.numerics.tp_invariant=false"});
  EXPECT_THAT(facts["cause"], StartsWith("samebits::linear has other arguments: "));
  EXPECT_THAT(facts["float64"], HasSubstr("is nearer in"));
  EXPECT_THAT(facts["elements"], HasSubstr(" differ"));
}

TEST_F(Localise, RoundingsThatAPassDroppedAreNamedInAReplayToo) {
  for (const std::string mode : {"captured", "piecewise", "full_graph"}) {
    Facts facts =
        facts_of({R"(b.generator={"mode": ")" + mode + R"(", "passes": ["drop_roundings"]})"});
    EXPECT_THAT(facts["cause"], HasSubstr("fused_rounding false against true")) << mode;
  }
}

// Flips a bit of one output of the contract's `op`: at its call number `call` of the runs whose
// number is odd, in a process in which every run makes the same calls.
class Flip : public DispatchMode {
 public:
  Flip(std::string op, int64_t calls_of_run, int64_t call)
      : op_(std::move(op)), calls_of_run_(calls_of_run), call_(call) {}

  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override {
    op.callBoxed(stack);
    if (op.operator_name().name != op_) return;
    const int64_t number = calls_++;
    if (calls_of_run_ == 0 || number / calls_of_run_ % 2 == 0) return;
    if (number % calls_of_run_ != call_) return;
    const at::Tensor bits = torch::jit::peek(*stack, 0, 1).toTensor().view(at::kShort).view({-1});
    bits.narrow(0, bits.numel() - 1, 1).bitwise_xor_(64);
  }
  int64_t calls() const { return calls_; }

 private:
  std::string op_;
  int64_t calls_of_run_;
  int64_t call_;
  int64_t calls_ = 0;
};

TEST_F(Localise, AKernelThatIsWrongOnceIsNamedThoughNothingElseDiffers) {
  int64_t calls = 0;
  {
    Flip none("samebits::silu_mul", 0, 0);
    const DispatchModeGuard guard(none);
    ASSERT_TRUE(run(select_arms(small_case(), {"a"}), options(Existing::kReplace)).holds);
    calls = none.calls();
  }
  ASSERT_GT(calls, 4);
  Flip flip("samebits::silu_mul", calls, 2);
  const DispatchModeGuard guard(flip);
  Facts facts = facts_of({});
  EXPECT_THAT(facts["operator"], HasSubstr("layers.2.feed_forward.silu_mul#0"));
  EXPECT_EQ(facts["cause"],
            "samebits::silu_mul itself: its inputs and arguments are equal, and its output is not");
  EXPECT_EQ(facts["elements"], "1 of " + facts["elements"].substr(5));
  EXPECT_EQ(facts["settings"], "none that differ");
}

}  // namespace
}  // namespace samebits
