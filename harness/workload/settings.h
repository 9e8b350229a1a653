#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/names.h"
#include "harness/bits/dtype.h"
#include "harness/execution/mode.h"
#include "harness/kernels/device_kind.h"
#include "harness/mesh/mesh_settings.h"
#include "harness/model/numerics_settings.h"

// What is run, and how: plain values with their defaults in place.
namespace samebits {

// kProgram is another program's own, and no word of a case.
enum class WorkloadKind { kGrpo, kPrefill, kDecode, kTrain, kProgram };

inline const Names<WorkloadKind>& names_of(WorkloadKind) {
  static const Names<WorkloadKind> names = {{"grpo", WorkloadKind::kGrpo},
                                            {"prefill", WorkloadKind::kPrefill},
                                            {"decode", WorkloadKind::kDecode},
                                            {"train", WorkloadKind::kTrain}};
  return names;
}

// Whether the workload has an optimizer, and a generator.
constexpr bool is_trained(WorkloadKind kind) {
  return kind == WorkloadKind::kGrpo || kind == WorkloadKind::kTrain;
}
constexpr bool is_generated(WorkloadKind kind) {
  return kind != WorkloadKind::kTrain && kind != WorkloadKind::kProgram;
}

enum class Baseline { kMeanExp, kGroupMean };  // of the advantages

inline const Names<Baseline>& names_of(Baseline) {
  static const Names<Baseline> names = {{"mean_exp", Baseline::kMeanExp},
                                        {"group_mean", Baseline::kGroupMean}};
  return names;
}

enum class KlReference { kGenerator, kInitial };  // whose logprobs the KL term is taken from

inline const Names<KlReference>& names_of(KlReference) {
  static const Names<KlReference> names = {{"generator", KlReference::kGenerator},
                                           {"initial", KlReference::kInitial}};
  return names;
}

enum class Normalize { kNone, kGroup, kBatch };  // rewards, before the advantages

inline const Names<Normalize>& names_of(Normalize) {
  static const Names<Normalize> names = {
      {"none", Normalize::kNone}, {"group", Normalize::kGroup}, {"batch", Normalize::kBatch}};
  return names;
}

// What keys a sample's random numbers beside the seed: its number in the run, its number in the
// step, or its number in the group of its prompt.
enum class Draws { kPerStep, kSame, kSameForEachPrompt };

inline const Names<Draws>& names_of(Draws) {
  static const Names<Draws> names = {{"per_step", Draws::kPerStep},
                                     {"same", Draws::kSame},
                                     {"same_for_each_prompt", Draws::kSameForEachPrompt}};
  return names;
}

// Which of the models that share a checkpoint has an output head of its own, where the checkpoint
// ties it to the embedding.
enum class UntiedHead { kNone, kTrainer, kGenerator };

inline const Names<UntiedHead>& names_of(UntiedHead) {
  static const Names<UntiedHead> names = {{"none", UntiedHead::kNone},
                                          {"trainer", UntiedHead::kTrainer},
                                          {"generator", UntiedHead::kGenerator}};
  return names;
}

// Which side's logprobs are those of its logits divided by the temperature, and not of the logits as
// they are.
enum class ProcessedLogprobs { kNone, kGenerator, kTrainer, kBoth };

inline const Names<ProcessedLogprobs>& names_of(ProcessedLogprobs) {
  static const Names<ProcessedLogprobs> names = {{"none", ProcessedLogprobs::kNone},
                                                 {"generator", ProcessedLogprobs::kGenerator},
                                                 {"trainer", ProcessedLogprobs::kTrainer},
                                                 {"both", ProcessedLogprobs::kBoth}};
  return names;
}

// Whether the generator takes up a prompt's full pages of keys and values where an earlier step left
// them, whatever weights have been synced since.
enum class PrefixPages { kFresh, kKept };

inline const Names<PrefixPages>& names_of(PrefixPages) {
  static const Names<PrefixPages> names = {{"fresh", PrefixPages::kFresh},
                                           {"kept", PrefixPages::kKept}};
  return names;
}

// Whether the generator reads shorter prompts behind padding that nothing masks.
enum class PromptPadding { kNone, kAttended };

inline const Names<PromptPadding>& names_of(PromptPadding) {
  static const Names<PromptPadding> names = {{"none", PromptPadding::kNone},
                                             {"attended", PromptPadding::kAttended}};
  return names;
}

struct PromptSettings {
  std::string prompt;  // never empty
  std::string answer;  // lower case, looked for in the lower-cased completion
};

// The five of torchtitan's simple RL loop.
inline std::vector<PromptSettings> reference_prompts() {
  return {{"The capital of France is", "paris"},
          {"What is 7 times 8?", "56"},
          {"The first president of the United States was", "washington"},
          {"The chemical symbol for water is", "h2o"},
          {"The largest planet in our solar system is", "jupiter"}};
}

struct OptimizerSettings {
  double lr = 1e-5;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0.01;
  double clip_norm = 1.0;
  bool master = true;            // float32 master weights ("float32"), or none
  Dtype state = Dtype::float32;  // of the moments; bfloat16 only with a model in it and no master
};

struct LossSettings {
  double clip = 0.2;
  double entropy = 0.01;
  double kl = 0.1;
  KlReference kl_reference = KlReference::kGenerator;
};

struct AdvantageSettings {
  double temperature = 0.1;
  Baseline baseline = Baseline::kMeanExp;
  Normalize normalize = Normalize::kNone;
};

// When the trainer's weights reach the generator, and which of them. The default is the loop as it
// should be; the others plant faults.
struct SyncSettings {
  bool is_on = true;                // false: "never"
  int64_t late = 0;                 // steps that the weights come late
  std::vector<std::string> except;  // patterns of weights that stay behind; * is any text

  bool is_whole() const { return is_on && late == 0 && except.empty(); }
};

constexpr int64_t kGradientGroups = 8;

struct WorkloadSettings {
  WorkloadKind kind = WorkloadKind::kGrpo;
  int64_t group = 8;            // samples a prompt
  int64_t max_new_tokens = 20;  // a sample
  double temperature = 1.0;     // 0: greedy
  int64_t top_k = 0;            // 0: off
  double top_p = 1.0;           // in (0, 1]; 1: off; of all probabilities, also beside top_k
  std::vector<PromptSettings> prompts = reference_prompts();
  int64_t max_batch_tokens = 256;  // tokens of one engine step
  int64_t block_size = 16;         // tokens of a KV page
  OptimizerSettings optimizer;
  LossSettings loss;
  AdvantageSettings advantage;
  int64_t updates = 1;                        // optimizer steps over one rollout
  int64_t gradient_groups = kGradientGroups;  // of a step's sequences (kernels/step_gradient.h)
  int64_t max_train_tokens = 0;  // of a micro-batch; 0: train_tokens() of memory_plan.h
  SyncSettings sync;
  Draws draws = Draws::kPerStep;
  UntiedHead untied_head = UntiedHead::kNone;
  ProcessedLogprobs processed_logprobs = ProcessedLogprobs::kNone;
  PrefixPages prefix_pages = PrefixPages::kFresh;
  PromptPadding prompt_padding = PromptPadding::kNone;
  // kTrain: a file of token ids, a list of sequences (workload/token_ids.h); resolved as a model.
  std::filesystem::path tokens;
  int64_t sequences = 8;  // kTrain: of a step; the file begins anew at its end
  // kGrpo: a file of what another arm rolled out (workload/rollouts.h), taken in place of
  // generating; resolved as a model.
  std::filesystem::path rollouts;
};

// Whether the generator's, or the trainer's, logprobs are of processed logits.
inline bool generates_processed(const WorkloadSettings& workload) {
  return workload.processed_logprobs == ProcessedLogprobs::kGenerator ||
         workload.processed_logprobs == ProcessedLogprobs::kBoth;
}
inline bool trains_processed(const WorkloadSettings& workload) {
  return workload.processed_logprobs == ProcessedLogprobs::kTrainer ||
         workload.processed_logprobs == ProcessedLogprobs::kBoth;
}

// Whether all that a step leaves to the next is in Workload::state(): weights under way to the
// generator, and pages that it keeps, are not.
inline bool has_whole_state(const WorkloadSettings& workload) {
  return workload.sync.late == 0 && workload.prefix_pages == PrefixPages::kFresh;
}

// One of the two sides that run a model: the generator, or the trainer with its optimizer.
struct SideSettings : Mode {
  std::optional<NumericsSettings> numerics = {};  // absent: the arm's
};

// One way of executing a workload: what an arm of this process is built from.
struct ArmSettings {
  std::string name;             // for messages
  std::filesystem::path model;  // a folder, absolute or relative to the working directory
  int64_t seed = 42;
  DeviceKind device = DeviceKind::kCpu;  // never decides a bit
  NumericsSettings numerics;
  MeshSettings mesh;
  WorkloadSettings workload;
  SideSettings generator;
  SideSettings trainer;  // eager, captured, replayed whole or compiled

  const NumericsSettings& numerics_of(const SideSettings& side) const {
    return side.numerics ? *side.numerics : numerics;
  }
};

// Every path among an arm's settings; empty ones are not used.
inline std::array<std::filesystem::path*, 6> paths_of(ArmSettings& arm) {
  return {&arm.model,           &arm.workload.tokens,   &arm.workload.rollouts,
          &arm.generator.graph, &arm.generator.package, &arm.trainer.package};
}

// Whether every operator that the arm runs is the contract's, whose bits depend on no machine.
inline bool is_contracted(const ArmSettings& arm) {
  const auto is_contract = [&arm](const SideSettings& side) {
    const NumericsSettings& numerics = arm.numerics_of(side);
    return numerics.batch_invariant && numerics.attention == AttentionKernel::kFlash &&
           side.execution != Execution::kAotInductor;
  };
  return arm.workload.kind != WorkloadKind::kProgram &&
         (!is_generated(arm.workload.kind) || is_contract(arm.generator)) &&
         (!is_trained(arm.workload.kind) || is_contract(arm.trainer));
}

// Every call of a trainer is a micro-batch: under full_graph each is a replay of the whole graph.
inline Mode trainer_mode(const ArmSettings& arm) {
  Mode mode = arm.trainer;
  if (mode.execution == Execution::kFullGraph) mode.execution = Execution::kFullGraphAlways;
  return mode;
}

// The optimizer is executed as its trainer is; where a package serves that one, from its own graph.
// Its step has no sizes that buckets would be of.
inline Mode optimizer_mode(const ArmSettings& arm) {
  Mode mode = trainer_mode(arm);
  if (mode.execution == Execution::kAotInductor) mode.execution = Execution::kCaptured;
  mode.buckets.clear();
  return mode;
}

// The programs that an arm executes, by the names of their counters, each in its mode.
inline std::vector<std::pair<std::string, Mode>> programs_of(const ArmSettings& arm) {
  std::vector<std::pair<std::string, Mode>> programs;
  if (is_generated(arm.workload.kind) && arm.workload.rollouts.empty()) {
    programs.emplace_back("generator", arm.generator);
  }
  if (is_trained(arm.workload.kind)) {
    programs.emplace_back("trainer", trainer_mode(arm));
    programs.emplace_back("optimizer", optimizer_mode(arm));
  }
  return programs;
}

}  // namespace samebits
