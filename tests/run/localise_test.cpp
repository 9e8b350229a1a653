// Arms with a fault in one of them, of every kind: what it is blamed on, from a run's settings to
// the last screen's facts.
#include "harness/run/localise.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <fstream>
#include <functional>
#include <limits>
#include <map>

#include "harness/capture/abstract_call.h"
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
  Facts facts_of(const std::vector<std::string>& settings,
                 const std::string& title = "a and b diverge") {
    const ReportRecord record = run(small_case(settings), options(Existing::kReplace));
    for (const ReportRecord::Failure& failure : record.failures) {
      if (failure.title == title) return {failure.facts.begin(), failure.facts.end()};
    }
    ADD_FAILURE() << "not said: " << title << "\n" << record.headline;
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
  EXPECT_THAT(facts["where"], HasSubstr("optimizer, clip_scale"));
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

// Changes one output of the contract's `op`: at its call number `call` of every run, or of the runs
// whose number is odd, in a process in which every run makes the same calls.
class Plant : public DispatchMode {
 public:
  using Change = std::function<void(const at::Tensor& output)>;
  Plant(std::string op, int64_t calls_of_run, int64_t call, bool is_in_all, Change change)
      : op_(std::move(op)),
        calls_of_run_(calls_of_run),
        call_(call),
        is_in_all_(is_in_all),
        change_(std::move(change)) {}

  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack) override {
    op.callBoxed(stack);
    if (op.operator_name().name != op_) return;
    const at::Tensor output = torch::jit::peek(*stack, 0, 1).toTensor();
    if (is_abstract(output)) return;  // a trace
    const int64_t number = calls_++;
    if (calls_of_run_ == 0 || number % calls_of_run_ != call_) return;
    if (is_in_all_ || number / calls_of_run_ % 2 == 1) change_(output);
  }
  int64_t calls() const { return calls_; }

 private:
  std::string op_;
  int64_t calls_of_run_;
  int64_t call_;
  bool is_in_all_;
  Change change_;
  int64_t calls_ = 0;
};

class LocalisePlant : public Localise {
 protected:
  int64_t calls_of_run(const std::string& op, const std::vector<std::string>& settings = {}) {
    Plant none(op, 0, 0, false, {});
    const DispatchModeGuard guard(none);
    EXPECT_TRUE(run(select_arms(small_case(settings), {"a"}), options(Existing::kReplace)).holds);
    EXPECT_GE(none.calls(), 4);
    return none.calls();
  }
  static void flip_last(const at::Tensor& output) {
    const at::Tensor bits =
        output.view(output.scalar_type() == at::kFloat ? at::kInt : at::kShort).view({-1});
    bits.narrow(0, bits.numel() - 1, 1).bitwise_xor_(64);
  }
};

TEST_F(LocalisePlant, AKernelThatIsWrongOnceIsNamedThoughNothingElseDiffers) {
  Plant plant("samebits::silu_mul", calls_of_run("samebits::silu_mul"), 2, false, flip_last);
  const DispatchModeGuard guard(plant);
  Facts facts = facts_of({});
  EXPECT_THAT(facts["operator"], HasSubstr("layers.2.feed_forward.silu_mul#0"));
  EXPECT_EQ(facts["cause"],
            "samebits::silu_mul itself: its inputs and arguments are equal, and its output is not");
  EXPECT_THAT(facts["elements"], StartsWith("1 of "));
  EXPECT_THAT(facts["alone"], HasSubstr("the call of a gives its value always (5 of 5)"));
  EXPECT_EQ(facts["again"], "always (5 of 5 runs)");
  EXPECT_EQ(facts["settings"], "none that differ");
}

// Faults between the program and a replay's memory, and within a replay, have no counterpart where
// its graph runs node by node.
TEST_F(Localise, ACopyOutOfAReplayIsNamed) {
  struct Planted {
    std::string side, phase, call, site;
  };
  for (const Planted& each : {Planted{"generator", "rollout", "3", "token#1 (occurrence 2)"},
                              Planted{"trainer", "train", "2", "train, result#2"}}) {
    Facts facts = facts_of({"b." + each.side + "=full_graph",
                            R"(b.plant={"kind":"flip","op":"aten::copy_","phase":")" + each.phase +
                                R"(","call":)" + each.call + "}"});
    EXPECT_THAT(facts["operator"], HasSubstr(each.site));
    EXPECT_EQ(facts["cause"], "aten::copy_ itself: in b it gives another value than it is given");
    EXPECT_THAT(facts["elements"], StartsWith("1 of ")) << each.site;
  }
}

TEST_F(Localise, AReplayThatGivesWhatItsGraphDoesNotIsNamedWithTheOperator) {
  Facts facts =
      facts_of({R"(b.generator=persistent)", R"(b.plant={"kind":"flip","op":"samebits::linear",)"
                                             R"("phase":"rollout","call":130,"bit":12})"});
  EXPECT_EQ(facts["cause"],
            "the replay in b, at samebits::linear: run node by node its graph gives what a gives");
}

// Two ranks swap rows: with padding they hold others than without.
TEST_F(Localise, AFaultThatMeetsThePaddingOfAReplayIsNamedByWhatItsGraphGivesWithout) {
  Facts facts = facts_of(
      {"mesh.tp=2", R"(b.trainer={"mode":"full_graph","buckets":[64]})",
       R"(b.plant={"kind":"swap","op":"samebits::residual_add","phase":"train","call":5})"});
  EXPECT_THAT(facts["operator"], HasSubstr("train, layers.2.ffn_residual#0"));
  EXPECT_THAT(facts["cause"],
              StartsWith("the replay in b gives another value than its graph node by node; there, "
                         "samebits::residual_add itself: its inputs and arguments are equal"));
}

// Rank 0 has what it had, so that no other arm differs. The gradient of the first of two
// micro-batches is kept as a copy, and what it was copied from is written again.
TEST_F(Localise, TheOperatorThatLeftRanksApartIsNamed) {
  for (const std::string tokens : {"64", "8"}) {
    Facts facts = facts_of({"b.mesh.tp=2", "workload.max_train_tokens=" + tokens,
                            R"(b.plant={"kind":"skip","op":"samebits::rms_norm_wgrad_",)"
                            R"("phase":"train","call":2,"rank":1})"},
                           "the ranks of b do not agree");
    EXPECT_THAT(facts["operator"], HasSubstr("the first value of which ranks hold other copies"));
    EXPECT_THAT(facts["cause"], HasSubstr("samebits::rms_norm_wgrad_ itself: its inputs are the "
                                          "same on all ranks"))
        << tokens;
  }
}

// The run that names the operator keeps the state before the step that differs: what keeps its
// tensors, and the repeats, begin there.
TEST_F(LocalisePlant, ADifferenceOfALaterStepIsLookedAtFromThatStepOn) {
  Plant none("samebits::clip_scale", 0, 0, false, {});  // once a step
  const DispatchModeGuard guard(none);
  Facts facts = facts_of({"steps=2", "b.workload.draws=same"});
  EXPECT_THAT(facts["where"], StartsWith("step 1, rollout"));
  EXPECT_EQ(facts["again"], "always (5 of 5 runs)");
  const int64_t steps_of_runs = 2 + 2;     // the run, and the one that names the operator
  const int64_t steps_from_there = 1 + 3;  // keeping, repeats
  EXPECT_EQ(none.calls(), 2 * (steps_of_runs + steps_from_there));
}

// In the backward nothing is observed but gradients.
TEST_F(LocalisePlant, AnOperatorOfTheBackwardIsNamed) {
  for (const std::string trainer : {"eager", "captured"}) {
    const std::vector<std::string> settings = {"a.trainer=" + trainer, "b.trainer=" + trainer};
    const std::string op = "samebits::linear_dgrad";
    Plant plant(op, calls_of_run(op, settings), 3, false,
                [](const at::Tensor& output) { output.mul_(2); });
    const DispatchModeGuard guard(plant);
    Facts facts = facts_of(settings);
    EXPECT_THAT(facts["where"], HasSubstr("optimizer, gradient[")) << trainer;
    EXPECT_EQ(facts["cause"],
              "samebits::linear_dgrad itself: its inputs and arguments are equal, "
              "and its output is not")
        << trainer;
  }
}

TEST_F(LocalisePlant, ANanThatIsBornInOneHeadIsNamed) {
  const std::string op = "samebits::paged_attention";
  const std::vector<std::string> settings = {"workload.max_new_tokens=1"};
  Plant plant(op, calls_of_run(op, settings), 1, true, [](const at::Tensor& output) {
    output.select(2, 2).fill_(std::numeric_limits<float>::quiet_NaN());
  });
  const DispatchModeGuard guard(plant);
  Facts facts = facts_of(settings, "a has a NaN or an infinity");
  EXPECT_THAT(facts["operator"], HasSubstr("layers.1.attention.inner#0"));
  EXPECT_EQ(facts["cause"], "samebits::paged_attention itself: its inputs are finite");
  EXPECT_THAT(facts["elements"], HasSubstr(" are NaN or infinite"));
  EXPECT_THAT(facts["dim 2"], HasSubstr("indices, from "));
}

// A replay has no operators: its graph is run node by node.
TEST_F(Localise, ANanOfTheCheckpointIsNamedInAReplayToo) {
  const fs::path copy = copy_of_model();
  std::fstream file(copy / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1002, std::ios::end);
  file.write("\xff\x7f", 2);  // a NaN of bfloat16
  file.close();
  for (const std::string mode : {"eager", "full_graph"}) {
    Facts facts = facts_of({"model=" + copy.string(), "a.generator=" + mode, "b.generator=" + mode},
                           "a has a NaN or an infinity");
    EXPECT_THAT(facts["operator"], HasSubstr("rollout")) << mode;
    EXPECT_THAT(facts["cause"],
                ::testing::MatchesRegex("input weight of samebits::.* has 1 that are NaN or .*"))
        << mode;
  }
}

// The optimizer's operator is not observed itself, and what it writes is.
TEST_F(Localise, ANanThatTheOptimizerMakesIsNamed) {
  Facts facts = facts_of({"workload.optimizer.lr=1e38"}, "a has a NaN or an infinity");
  EXPECT_THAT(facts["operator"], HasSubstr("optimizer, master[tok_embeddings.weight]"));
  EXPECT_THAT(facts["cause"], HasSubstr("adamw_ itself: its inputs are finite"));
}

// A bound judges numbers, and the first operator whose bits differ is named all the same.
TEST_F(Localise, AnOperatorIsNamedUnderABoundToo) {
  const Case c = small_case({"b.workload.loss.entropy=0.5"});
  Case bounded = c;
  for (Relation& relation : bounded.relations) {
    relation.holds = Holds::kUlp;
    relation.max_ulp = 1;
    relation.reason = "a bound";
  }
  const ReportRecord record = run(bounded, options(Existing::kReplace));
  ASSERT_FALSE(record.failures.empty());
  Facts facts(record.failures[0].facts.begin(), record.failures[0].facts.end());
  EXPECT_THAT(facts["operator"], HasSubstr("train, loss#0"));
  EXPECT_THAT(facts["operator"], HasSubstr("by its bits (the relation is a bound)"));
  EXPECT_EQ(facts["cause"], "samebits::grpo_loss has other arguments: entropy 0.01 against 0.5");
}

TEST_F(Localise, AnArgumentOfTheLossIsNamed) {
  for (const std::string trainer : {"eager", "captured"}) {
    Facts facts = facts_of({"b.workload.loss.entropy=0.5", "b.trainer=" + trainer});
    EXPECT_THAT(facts["operator"], HasSubstr("train, loss#0")) << trainer;
    EXPECT_EQ(facts["cause"], "samebits::grpo_loss has other arguments: entropy 0.01 against 0.5");
  }
}

// The first token that another temperature chose is an argument of the sampler, not the embedding's
// input of the next step.
TEST_F(Localise, TheFirstTokenThatDiffersIsToldAsText) {
  Facts facts = facts_of({"b.workload.temperature=3"});
  EXPECT_THAT(facts["operator"], HasSubstr("token#"));
  EXPECT_EQ(facts["cause"], "samebits::sample has other arguments: temperature 1.0 against 3.0");
  EXPECT_THAT(facts["token"],
              ::testing::MatchesRegex("completion [01], token [0-3]: [0-9]+ \".*\" (against [0-9]+ "
                                      "\".*\"|in both)"));
  EXPECT_THAT(facts["logprobs"], HasSubstr(" apart"));
}

}  // namespace
}  // namespace samebits
