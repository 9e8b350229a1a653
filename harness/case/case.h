#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/bits/dtype.h"

// A case: what is run, in which arms, and what must hold between them. Plain values with their
// defaults in place, made and validated once by load_case, const after. cases/case.schema.json
// publishes the same rules.
namespace samebits {

enum class DeviceKind { kCpu, kCuda };
enum class AttentionKernel { kFlash, kSdpa };  // samebits's own, or LibTorch's
enum class Execution { kEager, kCaptured, kPiecewise, kFullGraph, kPersistent };
// Whether a generator's decode steps are replays, of one graph each or of its pieces.
constexpr bool is_replayed_whole(Execution e) {
  return e == Execution::kFullGraph || e == Execution::kPersistent;
}
constexpr bool is_replayed(Execution e) {
  return e == Execution::kPiecewise || is_replayed_whole(e);
}
enum class GraphPass { kCommonSubexpressions, kDeadCode, kDropRoundings, kFuse };
enum class GuardPolicy { kKeep, kDrop };
// What an all-gather of a shard is taken to hold (dtensor.h, redistribute).
enum class GatheredSize { kNarrow, kConditional };
// A NaN or an infinity in a loss, reward, logprob, norm or weight: a failure of its arm, or
// accepted.
enum class Nonfinite { kRefuse, kAccept };
enum class WorkloadKind { kGrpo, kPrefill, kDecode, kTrain };
enum class Baseline { kMeanExp, kGroupMean };     // of the advantages
enum class KlReference { kGenerator, kInitial };  // whose logprobs the KL term is taken from
enum class Normalize { kNone, kGroup, kBatch };   // rewards, before the advantages
// What keys a sample's random numbers beside the seed: its number in the run, its number in the
// step, or its number in the group of its prompt.
enum class Draws { kPerStep, kSame, kSameForEachPrompt };
// Which of the models that share a checkpoint has an output head of its own, where the checkpoint
// ties it to the embedding.
enum class UntiedHead { kNone, kTrainer, kGenerator };
enum class Holds { kBitExact, kUlp, kAllclose, kMustDiverge, kNothing };
// A tensor whose digests differ, under a bound: a digest knows no distance. It fails, or is counted
// as not compared.
enum class TensorRule { kMustMatch, kNotCompared };

// Which arithmetic serves each operator.
struct NumericsSettings {
  std::string platform = "sm90";
  Dtype dtype = Dtype::bfloat16;  // of the model: bfloat16 or float32
  AttentionKernel attention = AttentionKernel::kFlash;
  bool batch_invariant = true;  // false: plain LibTorch kernels
  bool tp_invariant = true;     // false: one chain a rank, whatever TP cuts
  bool fused_rounding = false;  // rounds where a fusing compiler would: the control
};

struct MeshSettings {
  std::string kind = "local";
  int64_t tp = 1;
  GatheredSize gathered_size = GatheredSize::kNarrow;
};

struct PromptSettings {
  std::string prompt;  // never empty
  std::string answer;  // lower case, looked for in the lower-cased completion
};

// The five of torchtitan's simple RL loop.
std::vector<PromptSettings> reference_prompts();

struct OptimizerSettings {
  double lr = 1e-5;
  double beta1 = 0.9;
  double beta2 = 0.999;
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
  int64_t updates = 1;  // optimizer steps over one rollout
  SyncSettings sync;
  Draws draws = Draws::kPerStep;
  UntiedHead untied_head = UntiedHead::kNone;
  // kTrain: a file of token ids, a list of sequences (workload/token_ids.h); resolved as a model.
  std::filesystem::path tokens;
  int64_t sequences = 8;  // kTrain: of a step; the file begins anew at its end
};

// Whether the workload has an optimizer, and a generator.
constexpr bool is_trained(WorkloadKind kind) {
  return kind == WorkloadKind::kGrpo || kind == WorkloadKind::kTrain;
}
constexpr bool is_generated(WorkloadKind kind) { return kind != WorkloadKind::kTrain; }

// What must hold between some arms, or between the two sides of one.
struct Relation {
  std::vector<std::string> arms;  // at least two, all of the case, none twice; none of an arm's own
  Holds holds = Holds::kBitExact;
  int64_t max_ulp = 0;  // kUlp
  double rtol = 0;      // kAllclose
  double atol = 0;
  TensorRule tensors = TensorRule::kMustMatch;  // under kUlp and kAllclose
  std::string reason;  // why this relation, or this bound; required with a bound
};

// Why a case wants a step that repeats the one before; "": it does not, and such a step fails.
struct Repeats {
  std::string weights;   // "lr is 0"
  std::string rollouts;  // completions and their logprobs: "greedy decoding"
};

// One way of executing the workload: every setting of the case, with this arm's overrides applied.
struct Arm {
  std::string name;             // also the name of its folder: [a-z0-9][a-z0-9_-]*
  std::filesystem::path model;  // resolved: absolute, or relative to the working directory
  int64_t seed = 42;
  int64_t steps = 10;
  double timeout_s = 600;
  DeviceKind device = DeviceKind::kCpu;  // never decides a bit
  Nonfinite nonfinite = Nonfinite::kRefuse;
  // Between what the generator and the trainer say of the same tokens. Absent: bit_exact where the
  // numerics are batch-invariant, else nothing (compare/on_policy.h).
  std::optional<Relation> on_policy;
  Repeats repeats;
  NumericsSettings numerics;
  MeshSettings mesh;
  WorkloadSettings workload;
  Execution generator = Execution::kEager;
  Execution trainer = Execution::kEager;
  GuardPolicy guards = GuardPolicy::kKeep;
  std::vector<GraphPass> passes;  // over the generator's graph, in this order
  std::filesystem::path graph;    // a saved one to run instead of tracing; resolved as model; or ""
  std::vector<int64_t>
      buckets;            // token counts that replays are captured for; none: graph/buckets.h
  std::string canonical;  // its settings as one line of JSON, model as the case writes it
};

struct Case {
  std::string name;
  std::filesystem::path file;
  std::string model;      // as the case writes it
  std::vector<Arm> arms;  // in the order of the file; the others are shown against the first
  std::vector<Relation> relations;
  bool requires_golden = false;  // an arm without a golden that was compared fails

  // The arm of that name; InputError that names the nearest one when there is none.
  const Arm& arm(const std::string& name) const;
};

// Reads and validates a case. `overrides` are `key=value` for the whole case or `ARM.key=value` for
// one arm; dots descend, the value is read as JSON, or as a string where it is not JSON. A relative
// path is relative to the case's file; one given as an override, to the working directory.
// Throws InputError.
Case load_case(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

// The same from text; `file` is named in errors and anchors a relative model folder.
Case parse_case(const std::string& text, const std::filesystem::path& file,
                const std::vector<std::string>& overrides = {});

// The case reduced to these arms, and to what its relations say about them. Empty: all.
Case select_arms(const Case& whole, const std::vector<std::string>& names);

// The resolved case as JSON (two spaces of indent): for the manifest.
std::string canonical_json(const Case& c);

// An arm's canonical settings without what never decides a bit: `steps`, `timeout_s`, `nonfinite`,
// `on_policy`, `repeats` and, where the contract's kernels serve every operator, `device`.
// LibTorch's own give other bits on a card.
std::string deciding_settings(const std::string& canonical);

// 32 hex digits over what decides an arm's bits (deciding_settings). The model enters as the case
// writes it, so the digest does not depend on the machine.
std::string settings_digest(const Arm& arm);
std::string digest_of_settings(const std::string& canonical);

// Canonical settings that an earlier version wrote, with the defaults of keys that it did not know
// and without keys that say their default. Throws InputError, which names `where`.
std::string with_defaults(const std::string& canonical, const std::string& where);

std::string to_string(DeviceKind value);
std::string to_string(AttentionKernel value);
std::string to_string(Execution value);
std::string to_string(GuardPolicy value);
std::string to_string(GatheredSize value);
std::string to_string(Nonfinite value);
std::string to_string(WorkloadKind value);
std::string to_string(Baseline value);
std::string to_string(KlReference value);
std::string to_string(Normalize value);
std::string to_string(Draws value);
std::string to_string(UntiedHead value);
std::string to_string(Holds value);
std::string to_string(TensorRule value);

}  // namespace samebits
