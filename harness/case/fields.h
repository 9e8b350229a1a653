#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/case/case.h"

// Every key of a case, once: its name, where its value lies, what it may be, and a sentence for
// whoever writes one. The reader, the writer, overrides and the schema visit the same list:
//
//   visitor({key, description, traits}, value, rule)
//
// Only relations, whose keys depend on each other, are spelled out by each (case_relation.h).
namespace samebits::fields {

// ---- Rules: what a value may be -----------------------------------------------------------------
struct Flag {};
struct Integer {
  int64_t min;
  int64_t max = std::numeric_limits<int64_t>::max();
};
struct Number {
  double min;
  bool min_included = true;
  double max = std::numeric_limits<double>::infinity();
  bool max_included = false;
};
struct Text {
  bool is_lower_case = false;
};
struct Path {};              // of a file or folder: absolute, or relative to the case's file
struct InnerPath : Path {};  // of a file in a folder that a run makes
template <class T>
struct Choice {
  Names<T> names;
  // Words that a user may expect here, and why they are refused.
  std::vector<std::pair<std::string, std::string>> refused = {};
};
template <class Rule>
struct List {
  Rule element;
  size_t min_size = 0;
  bool is_ascending = false;
};
struct Pair {  // an array of two
  Number element;
};
struct Symbols {  // std::optional<std::vector<std::string>>: names of sizes
  std::vector<std::string> names;
};
struct Sizes {  // std::map<std::string, int64_t>: sizes by name
  std::vector<std::string> names;
};
struct Variables {};  // std::map<std::string, std::string>: of an environment
struct Object {};     // whose own keys are visited
struct Sync {};       // SyncSettings: a word, or an object of one key
struct OnPolicy {};   // std::optional<Relation>, of an arm's own two sides
// SideSettings: the word of its mode, or an object of what visit_side() names. What the arm itself
// says of its guards, passes, graph and buckets is said of its generator.
struct Side {
  Choice<Execution> modes;
  bool is_generator;
  GuardPolicy guards;         // the arm's
  NumericsSettings numerics;  // likewise
};
// std::optional<NumericsSettings>: keys that are laid over the arm's.
struct Over {
  NumericsSettings base;
};

// ---- Keys ---------------------------------------------------------------------------------------
struct Field {
  std::string key;
  std::string description = {};  // for the schema
  unsigned traits = 0;
};
constexpr unsigned kRequired = 1;
// Came after the first goldens: written only where it is not the default, so that older settings
// keep their digest.
constexpr unsigned kLater = 2;
constexpr unsigned kArmOnly = 4;  // no key of the case as a whole

// Beyond it a count of steps, samples or tokens is a slip of the pen.
constexpr Integer kCount{1, 1'000'000};

template <class V>
void visit_fields(V& v, NumericsSettings& s) {
  v({"platform"}, s.platform, Choice<std::string>{{{"sm90", "sm90"}}});
  v({"dtype"}, s.dtype,
    Choice<Dtype>{{{"bfloat16", Dtype::bfloat16}, {"float32", Dtype::float32}}});
  v({"attention", "samebits's own kernel, or LibTorch's."}, s.attention,
    Choice<AttentionKernel>{names_of(s.attention)});
  v({"batch_invariant", "false: plain LibTorch kernels."}, s.batch_invariant, Flag{});
  v({"tp_invariant"}, s.tp_invariant, Flag{});
  v({"fused_rounding", "Rounds where a fusing compiler would: the negative control."},
    s.fused_rounding, Flag{});
  v({"float32_head", "Logits are the head's float32 sums, not rounded to dtype.", kLater},
    s.float32_head, Flag{});
}

template <class V>
void visit_fields(V& v, MeshSettings& s) {
  v({"kind",
     "local: one process hosts all ranks. gloo, nccl: each rank is a process; with nccl on a card "
     "of "
     "its own. It moves no bit."},
    s.kind, Choice<MeshKind>{names_of(s.kind)});
  v({"tp"}, s.tp, Integer{1, 1024});
  v({"dp",
     "Replicas, which share the sequences of a step. A power of two that divides "
     "workload.gradient_groups; it moves no bit.",
     kLater},
    s.dp, Integer{1, 1024});
  v({"optimizer_state",
     "What replicas in processes keep of master weights and moments: each all of them, or each its "
     "share. It moves no bit.",
     kLater},
    s.optimizer_state, Choice<OptimizerState>{names_of(s.optimizer_state)});
  v({"gathered_size",
     "What redistribute takes an all-gather of shards to hold: always narrowed to the whole's "
     "size; or, as torch.distributed.tensor did up to 2.11, only where the size does not divide; "
     "or the latter, and narrowed by whoever takes it.",
     kLater},
    s.gathered_size, Choice<GatheredSize>{names_of(s.gathered_size)});
}

template <class V>
void visit_fields(V& v, PromptSettings& s) {
  v({"prompt", "", kRequired}, s.prompt, Text{});
  v({"answer", "Looked for in the lower-cased completion.", kRequired}, s.answer,
    Text{.is_lower_case = true});
}

template <class V>
void visit_fields(V& v, OptimizerSettings& s) {
  v({"lr"}, s.lr, Number{0});
  v({"betas"}, s.betas, Pair{{0, true, 1, false}});
  v({"eps"}, s.eps, Number{0, false});
  v({"weight_decay"}, s.weight_decay, Number{0});
  v({"clip_norm"}, s.clip_norm, Number{0, false});
  v({"master"}, s.master, Choice<bool>{{{"float32", true}, {"none", false}}});
  v({"state",
     "Of the moments. bfloat16 rounds after every operation, as torch's AdamW does on parameters "
     "in "
     "it; it needs master \"none\" and a model in bfloat16.",
     kLater},
    s.state, Choice<Dtype>{{{"bfloat16", Dtype::bfloat16}, {"float32", Dtype::float32}}});
}

template <class V>
void visit_fields(V& v, LossSettings& s) {
  v({"clip"}, s.clip, Number{0});
  v({"entropy"}, s.entropy, Number{0});
  v({"kl"}, s.kl, Number{0});
  v({"kl_reference",
     "What the KL term measures from: the logprobs that the generator reported, or those of the "
     "weights that the run began with.",
     kLater},
    s.kl_reference, Choice<KlReference>{names_of(s.kl_reference)});
}

template <class V>
void visit_fields(V& v, AdvantageSettings& s) {
  v({"temperature"}, s.temperature, Number{0, false});
  v({"baseline"}, s.baseline, Choice<Baseline>{names_of(s.baseline)});
  v({"normalize",
     "Rewards before the advantages: as they are, or (r - mean) / std over their group or over the "
     "whole step, std without bias, (r - mean) alone where it is at most 1e-8.",
     kLater},
    s.normalize, Choice<Normalize>{names_of(s.normalize)});
}

template <class V>
void visit_fields(V& v, WorkloadSettings& s) {
  v({"name"}, s.kind, Choice<WorkloadKind>{names_of(s.kind), {{"ops", "it is not there yet"}}});
  v({"group"}, s.group, kCount);
  v({"max_new_tokens"}, s.max_new_tokens, kCount);
  v({"temperature", "0 is greedy."}, s.temperature, Number{0});
  v({"top_k", "0 is off."}, s.top_k, Integer{0, kCount.max});
  v({"top_p", "1 is off. It counts the probabilities of all ids, also beside top_k."}, s.top_p,
    Number{0, false, 1, true});
  v({"prompts"}, s.prompts, List<Object>{{}, 1});
  v({"max_batch_tokens"}, s.max_batch_tokens, kCount);
  v({"block_size"}, s.block_size, kCount);
  v({"optimizer"}, s.optimizer, Object{});
  v({"loss"}, s.loss, Object{});
  v({"advantage"}, s.advantage, Object{});
  v({"sequences",
     "Of workload train: sequences of a step, 8 by default; the file begins anew at its end.",
     kLater},
    s.sequences, kCount);
  v({"updates",
     "Optimizer steps over one rollout. From the second on, the trainer has left the policy that "
     "it "
     "sampled from.",
     kLater},
    s.updates, kCount);
  v({"gradient_groups",
     "Groups of sequences in which the gradient of a step is summed before they are joined: a "
     "power "
     "of two.",
     kLater},
    s.gradient_groups, Integer{1, 1024});
  v({"max_train_tokens",
     "Tokens of one micro-batch of the trainer, at least those of the longest sequence. Without "
     "the key: by what the arm holds in memory. With the contract's operators it moves no bit.",
     kLater},
    s.max_train_tokens, kCount);
  v({"sync",
     "When the trainer's weights reach the generator: after every step (the default), never, some "
     "steps late, or all but those whose names match a pattern (* is any text).",
     kLater},
    s.sync, Sync{});
  v({"draws",
     "What keys a sample's random numbers beside the seed: its number in the run (the default), in "
     "the step (each step draws the same), or in its prompt's group (so does each prompt).",
     kLater},
    s.draws, Choice<Draws>{names_of(s.draws)});
  v({"untied_head",
     "Which side has an output head of its own where the checkpoint ties it to the embedding: the "
     "sync cannot bring it over.",
     kLater},
    s.untied_head, Choice<UntiedHead>{names_of(s.untied_head)});
  v({"processed_logprobs", "Which side's logprobs are of its logits divided by the temperature.",
     kLater},
    s.processed_logprobs, Choice<ProcessedLogprobs>{names_of(s.processed_logprobs)});
  v({"prefix_pages",
     "kept: a prompt's full pages of keys and values stay as an earlier step computed them, over "
     "every sync.",
     kLater},
    s.prefix_pages, Choice<PrefixPages>{names_of(s.prefix_pages)});
  v({"prompt_padding",
     "attended: the generator reads shorter prompts behind padding, which nothing masks.", kLater},
    s.prompt_padding, Choice<PromptPadding>{names_of(s.prompt_padding)});
  v({"tokens",
     "Of workload train: a file of token ids, a JSON list of lists, each of 2 tokens or more: "
     "absolute, or relative to the folder of this file.",
     kLater},
    s.tokens, Path{});
  v({"rollouts",
     "Of workload grpo: a file of what was rolled out, completions, logprobs and rewards of every "
     "step, taken in place of generating: absolute, or relative to the folder of this file.",
     kLater},
    s.rollouts, Path{});
}

template <class V>
void visit_fields(V& v, Repeats& s) {
  v({"weights", "Why no weight of the trainer need move, such as lr 0.", kLater}, s.weights,
    Text{});
  v({"rollouts",
     "Why the completions and logprobs of a step may be those of the step before, such as greedy "
     "decoding.",
     kLater},
    s.rollouts, Text{});
}

inline List<Choice<GraphPass>> passes_rule() { return {{names_of(GraphPass())}}; }
inline List<Integer> buckets_rule() { return {kCount, 1, /*is_ascending=*/true}; }

// The object form of a side.
template <class V>
void visit_side(V& v, SideSettings& s, const Side& rule) {
  v({"mode", "", kRequired}, s.execution, rule.modes);
  v({"passes", "Over its graph, in this order."}, s.passes, passes_rule());
  v({"guards"}, s.guards, Choice<GuardPolicy>{names_of(s.guards)});
  if (rule.is_generator) {
    v({"graph"}, s.graph, Path{});
  }
  v({"buckets",
     "Token counts that replays are captured for; of a trainer, what its micro-batches are padded "
     "to, generated tokens likewise."},
    s.buckets, buckets_rule());
  const std::vector<std::string> symbols =
      rule.is_generator
          ? std::vector<std::string>{"tokens", "sequences", "blocks", "boundaries", "rows"}
          : std::vector<std::string>{"tokens", "generated"};
  v({"dynamic",
     "The sizes that are symbols of its graph, all by default. At another value of any other one, "
     "it is traced anew."},
    s.dynamic, Symbols{symbols});
  v({"traced_at",
     "Sizes that the first trace is made at, by symbol: they decide its branches. By default those "
     "of the first call."},
    s.traced_at, Sizes{symbols});
  v({"package", "Of mode aot_inductor: what tools/aot-package made of this side's graph."},
    s.package, Path{});
  v({"numerics", "Laid over the arm's, for this side alone."}, s.numerics, Over{rule.numerics});
}

inline Side generator_rule(const ArmSettings& arm) {
  return {{names_of(Execution())}, /*is_generator=*/true, arm.generator.guards, arm.numerics};
}
inline Side trainer_rule(const ArmSettings& arm) {
  const std::string is_whole = "every micro-batch is a replay of the whole graph under full_graph";
  return {{{{"eager", Execution::kEager},
            {"captured", Execution::kCaptured},
            {"full_graph", Execution::kFullGraph},
            {"aot_inductor", Execution::kAotInductor}},
           {{"piecewise", "a trainer's attention has static boundaries: nothing to cut for"},
            {"full_graph_always", is_whole},
            {"full_and_piecewise", is_whole},
            {"persistent", "it lowers decode steps alone"}}},
          /*is_generator=*/false,
          arm.generator.guards,
          arm.numerics};
}

template <class V>
void visit_fields(V& v, LogSettings& s) {
  v({"format", "Without the key: found by the log's name and first bytes.", kLater}, s.format,
    Text{});
  v({"pattern",
     "Of a text: a regular expression of PCRE2 that its lines match, with the groups step and one "
     "a site.",
     kLater},
    s.pattern, Text{});
  v({"step", "The column or key that counts steps. Without the key: step, global_step, iteration.",
     kLater},
    s.step, Text{});
  v({"only", "The sites that are read: a regular expression of PCRE2.", kLater}, s.only, Text{});
}

// Of an arm that is another program.
template <class V>
void visit_program(V& v, ProgramSettings& s) {
  v({"command",
     "The arm is another program: what is started, and its arguments. In them and in the values of "
     "env, {out} is the folder that it writes its stream to, {level}, {steps} and {seed} what the "
     "arm is told.",
     kLater | kArmOnly},
    s.command, List<Text>{{}, 1});
  v({"env", "Variables of its environment, beside those of samebits.", kLater | kArmOnly}, s.env,
    Variables{});
  v({"cwd", "Where it is started; without the key, in the folder of this file.", kLater | kArmOnly},
    s.cwd, Path{});
  v({"repeat", "How often it is run. All runs must observe the same.", kLater | kArmOnly}, s.repeat,
    Integer{1, 1000});
  v({"recorded",
     "The arm is what another program recorded: a folder of streams, or a log, absolute, or "
     "relative to the folder of this file.",
     kLater | kArmOnly},
    s.recorded, Path{});
  v({"observations",
     "A log that the command writes, in place of a stream: relative to {out}, which is made, or - "
     "for what it prints.",
     kLater | kArmOnly},
    s.observations, InnerPath{});
  v({"log", "How the log is read.", kLater | kArmOnly}, s.log, Object{});
  v({"commit",
     "A revision of a git repository: the command is run in a checkout of it, not in what is "
     "there.",
     kLater | kArmOnly},
    s.commit, Text{});
  v({"repository",
     "Beside commit: a folder of the repository, absolute, or relative to the folder of this file. "
     "Without the key: the folder of this file.",
     kLater | kArmOnly},
    s.repository, Path{});
  v({"build",
     "Beside commit: what is run once in the checkout, {checkout}, before the command: a program "
     "and its arguments.",
     kLater | kArmOnly},
    s.build, List<Text>{{}, 1});
}

// In the order in which settings are written, which is part of their digest.
template <class V>
void visit_fields(V& v, Fault& s) {
  v({"kind",
     "flip: a bit of an element. stale: what the call before left. skip: what it was to write "
     "stays "
     "as it was. order: a linear's sums run backwards. swap: two ranks have each other's results. "
     "mask: attention sees the keys behind a query too."},
    s.kind, Choice<FaultKind>{names_of(s.kind)});
  v({"op", "Such as samebits::rms_norm."}, s.op, Text{});
  v({"step"}, s.step, Integer{0});
  v({"phase", "Such as train."}, s.phase, Text{});
  v({"call", "Which of the rank's executions of the operator in that phase of the step, from 0."},
    s.call, Integer{0});
  v({"output", "Which of its results, then of the arguments that it writes."}, s.output,
    Integer{0});
  v({"element", "flip: of that result, in the order of memory."}, s.element, Integer{0});
  v({"bit", "flip: of that element; 0 is one ULP."}, s.bit, Integer{0, 63});
  v({"rank", "Of the mesh: whose execution it is."}, s.rank, Integer{0, 1023});
}

template <class V>
void visit_fields(V& v, KeepSettings& s) {
  v({"sites", "A regular expression of PCRE2.", kLater}, s.sites, Text{});
  v({"bytes", "Of all of them, at most.", kLater}, s.bytes, Integer{1});
}

template <class V>
void visit_fields(V& v, CaseArm& s) {
  v({"model",
     "Folder of a Hugging Face checkpoint: absolute, or relative to the folder of this file. "
     "Required unless every arm is another program."},
    s.model, Path{});
  v({"seed"}, s.seed, Integer{0});
  v({"steps"}, s.steps, kCount);
  v({"timeout_s"}, s.timeout_s, Number{0, false});
  v({"checkpoint_every",
     "Steps after which weights, optimizer state and counters are kept, so that a run that was cut "
     "off goes on from there. 0: it starts from its first step.",
     kLater},
    s.checkpoint_every, Integer{0, kCount.max});
  v({"numerics"}, s.numerics, Object{});
  v({"mesh"}, s.mesh, Object{});
  v({"workload"}, s.workload, Object{});
  v({"generator",
     "The mode, or an object of the mode and what is this side's alone: passes, guards, graph, "
     "buckets, dynamic, traced_at, package, numerics.",
     kArmOnly},
    s.generator, generator_rule(s));
  v({"trainer",
     "The mode of the trainer and the optimizer, or an object of the mode and what is this side's "
     "alone: passes, guards, buckets, dynamic, traced_at, package, numerics.",
     kArmOnly},
    s.trainer, trainer_rule(s));
  v({"guards", "", kArmOnly}, s.generator.guards, Choice<GuardPolicy>{names_of(GuardPolicy())});
  v({"device", "", kLater}, s.device, Choice<DeviceKind>{names_of(s.device)});
  v({"nonfinite",
     "A NaN or infinity in a loss, reward, logprob, norm or weight: fails the arm (the default), "
     "or "
     "is accepted.",
     kLater},
    s.nonfinite, Choice<Nonfinite>{names_of(s.nonfinite)});
  v({"on_policy",
     "What must hold between the logprobs that an arm's generator reported and those that its "
     "trainer finds of the same tokens. Without the key: bit_exact where the numerics are "
     "batch-invariant, else none.",
     kLater},
    s.on_policy, OnPolicy{});
  v({"repeats",
     "A step that repeats the one before proves nothing, and fails its arm, unless a reason stands "
     "here.",
     kLater},
    s.repeats, Object{});
  v({"keep",
     "Tensors whose sites match are kept beside the stream, so that ulp and allclose judge their "
     "elements. Without the key: the two where arms first differ.",
     kLater},
    s.keep, Object{});
  v({"plant",
     "A fault that the arm plants into itself, to see whether it is found; --plant draws them.",
     kLater | kArmOnly},
    s.plant, Object{});
  v({"passes",
     "Over the graph of a generator that is not eager, in this order. drop_roundings is a negative "
     "control.",
     kLater | kArmOnly},
    s.generator.passes, passes_rule());
  v({"graph",
     "A saved graph that a generator that is not eager runs instead of tracing: absolute, or "
     "relative to the folder of this file.",
     kLater | kArmOnly},
    s.generator.graph, Path{});
  v({"buckets",
     "Token counts that replays are captured for, ascending. A step of more tokens runs without a "
     "replay. Without the key: 1, 2, 4, then every 8 up to 256 and every 16 above, up to "
     "max_batch_tokens.",
     kLater},
    s.generator.buckets, buckets_rule());
  visit_program(v, s.program);
}

// ---- The keys alone -----------------------------------------------------------------------------
struct FieldCollector {
  std::vector<Field> fields;
  std::vector<std::string> keys() const {
    std::vector<std::string> keys;
    for (const Field& field : fields) keys.push_back(field.key);
    return keys;
  }
  template <class T, class Rule>
  void operator()(const Field& field, T&, const Rule&) {
    fields.push_back(field);
  }
};

template <class T>
std::vector<Field> fields_of() {
  FieldCollector collector;
  T value;
  visit_fields(collector, value);
  return collector.fields;
}

template <class T>
std::vector<std::string> keys_of() {
  FieldCollector collector;
  T value;
  visit_fields(collector, value);
  return collector.keys();
}

}  // namespace samebits::fields
