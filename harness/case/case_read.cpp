// Reads a case: JSON -> plain structs, every rule checked here and nowhere else.

#include <algorithm>
#include <set>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/case/case.h"
#include "harness/case/case_names.h"
#include "harness/case/case_overrides.h"
#include "harness/case/case_write.h"

namespace samebits {
namespace {

constexpr int64_t kMaxCount =
    1'000'000;  // of steps, samples, tokens: beyond it is a slip of the pen
constexpr int64_t kMaxTp = 1024;

// Keys that only an arm has.
const std::vector<std::string> kArmOnlyKeys = {"generator", "trainer", "guards",
                                               "passes",    "graph",   "command"};
// Keys that describe the case as a whole, which no arm overrides.
const std::vector<std::string> kCaseOnlyKeys = {"$schema", "name", "golden", "arms", "relations"};

std::vector<std::string> arm_keys() {
  std::vector<std::string> keys;
  for (const std::string& key : case_keys()) {
    if (std::find(kCaseOnlyKeys.begin(), kCaseOnlyKeys.end(), key) == kCaseOnlyKeys.end()) {
      keys.push_back(key);
    }
  }
  keys.insert(keys.end(), kArmOnlyKeys.begin(), kArmOnlyKeys.end());
  return keys;
}

NumericsSettings read_numerics(const JsonReader& json) {
  json.object(
      {"platform", "dtype", "attention", "batch_invariant", "tp_invariant", "fused_rounding"});
  NumericsSettings numerics;
  if (auto key = json.optional("platform")) {
    numerics.platform = key->one_of<std::string>({{"sm90", "sm90"}});
  }
  if (auto key = json.optional("dtype")) numerics.dtype = key->one_of(case_names::dtypes());
  if (auto key = json.optional("attention")) {
    numerics.attention = key->one_of(case_names::attention_kernels());
  }
  if (auto key = json.optional("batch_invariant")) numerics.batch_invariant = key->boolean();
  if (auto key = json.optional("tp_invariant")) numerics.tp_invariant = key->boolean();
  if (auto key = json.optional("fused_rounding")) numerics.fused_rounding = key->boolean();
  return numerics;
}

MeshSettings read_mesh(const JsonReader& json) {
  json.object({"kind", "tp", "gathered_size"});
  MeshSettings mesh;
  if (auto key = json.optional("kind")) {
    mesh.kind = key->string();
    if (mesh.kind != "local") {
      key->fail(quoted(mesh.kind), "\"local\" (other kinds of mesh are not there yet)");
    }
  }
  if (auto key = json.optional("tp")) mesh.tp = key->integer(1, kMaxTp);
  if (auto key = json.optional("gathered_size")) {
    mesh.gathered_size = key->one_of(case_names::gathered_sizes());
  }
  return mesh;
}

std::vector<PromptSettings> read_prompts(const JsonReader& json) {
  std::vector<PromptSettings> prompts;
  for (const JsonReader& element : json.array(/*min_size=*/1)) {
    element.object({"prompt", "answer"});
    const JsonReader answer = element.required("answer");
    prompts.push_back({element.required("prompt").non_empty_string(), answer.non_empty_string()});
    const std::string& text = prompts.back().answer;
    if (std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) {
      answer.fail(quoted(text), "lower case (it is looked for in the lower-cased completion)");
    }
  }
  return prompts;
}

OptimizerSettings read_optimizer(const JsonReader& json) {
  json.object({"lr", "betas", "eps", "weight_decay", "clip_norm", "master", "state"});
  OptimizerSettings optimizer;
  if (auto key = json.optional("lr")) optimizer.lr = key->number_at_least(0);
  if (auto key = json.optional("betas")) {
    const std::vector<JsonReader> betas = key->array();
    if (betas.size() != 2) key->fail(key->shown(), "two numbers in [0, 1)");
    optimizer.beta1 = betas[0].number_in(0, 1, /*min_included=*/true, /*max_included=*/false);
    optimizer.beta2 = betas[1].number_in(0, 1, /*min_included=*/true, /*max_included=*/false);
  }
  if (auto key = json.optional("eps")) optimizer.eps = key->number_above(0);
  if (auto key = json.optional("weight_decay")) optimizer.weight_decay = key->number_at_least(0);
  if (auto key = json.optional("clip_norm")) optimizer.clip_norm = key->number_above(0);
  if (auto key = json.optional("master")) {
    optimizer.master = key->one_of<bool>({{"float32", true}, {"none", false}});
  }
  if (auto key = json.optional("state")) {
    optimizer.state = key->one_of(case_names::dtypes());
    if (optimizer.state == Dtype::bfloat16 && optimizer.master) {
      key->fail("bfloat16 beside master weights in float32", "master \"none\"");
    }
  }
  return optimizer;
}

LossSettings read_loss(const JsonReader& json) {
  json.object({"clip", "entropy", "kl", "kl_reference"});
  LossSettings loss;
  if (auto key = json.optional("clip")) loss.clip = key->number_at_least(0);
  if (auto key = json.optional("entropy")) loss.entropy = key->number_at_least(0);
  if (auto key = json.optional("kl")) loss.kl = key->number_at_least(0);
  if (auto key = json.optional("kl_reference")) {
    loss.kl_reference = key->one_of(case_names::kl_references());
  }
  return loss;
}

AdvantageSettings read_advantage(const JsonReader& json) {
  json.object({"temperature", "baseline", "normalize"});
  AdvantageSettings advantage;
  if (auto key = json.optional("temperature")) advantage.temperature = key->number_above(0);
  if (auto key = json.optional("baseline")) {
    advantage.baseline = key->one_of(case_names::baselines());
  }
  if (auto key = json.optional("normalize")) {
    advantage.normalize = key->one_of(case_names::normalizations());
  }
  return advantage;
}

SyncSettings read_sync(const JsonReader& json) {
  SyncSettings sync;
  if (!json.value().is_object()) {
    sync.is_on = json.one_of<bool>({{"every", true}, {"never", false}});
    return sync;
  }
  json.object({"late", "except"});
  if (json.keys().size() != 1) json.fail(json.shown(), R"("every", "never", "late" or "except")");
  if (auto key = json.optional("late")) sync.late = key->integer(1, kMaxCount);
  if (auto key = json.optional("except")) {
    for (const JsonReader& pattern : key->array(/*min_size=*/1)) {
      sync.except.push_back(pattern.non_empty_string());
    }
  }
  return sync;
}

WorkloadKind read_workload_kind(const JsonReader& json) {
  const std::string name = json.string();
  if (name == "ops") {
    json.fail(quoted(name), R"("grpo", "prefill", "decode" or "train" (ops is not there yet))");
  }
  return json.one_of(case_names::workloads());
}

WorkloadSettings read_workload(const JsonReader& json) {
  json.object({"name", "group", "max_new_tokens", "temperature", "top_k", "top_p", "prompts",
               "max_batch_tokens", "block_size", "optimizer", "loss", "advantage", "updates",
               "sync", "draws", "untied_head", "tokens", "sequences"});
  WorkloadSettings workload;
  if (auto key = json.optional("name")) workload.kind = read_workload_kind(*key);
  if (auto key = json.optional("group")) workload.group = key->integer(1, kMaxCount);
  if (auto key = json.optional("max_new_tokens")) {
    workload.max_new_tokens = key->integer(1, kMaxCount);
  }
  if (auto key = json.optional("temperature")) workload.temperature = key->number_at_least(0);
  if (auto key = json.optional("top_k")) workload.top_k = key->integer(0, kMaxCount);
  if (auto key = json.optional("top_p")) {
    workload.top_p = key->number_in(0, 1, /*min_included=*/false, /*max_included=*/true);
  }
  if (auto key = json.optional("prompts")) workload.prompts = read_prompts(*key);
  if (auto key = json.optional("max_batch_tokens")) {
    workload.max_batch_tokens = key->integer(1, kMaxCount);
  }
  if (auto key = json.optional("block_size")) workload.block_size = key->integer(1, kMaxCount);
  if (auto key = json.optional("optimizer")) workload.optimizer = read_optimizer(*key);
  if (auto key = json.optional("loss")) workload.loss = read_loss(*key);
  if (auto key = json.optional("advantage")) workload.advantage = read_advantage(*key);
  if (auto key = json.optional("updates")) workload.updates = key->integer(1, kMaxCount);
  if (auto key = json.optional("sync")) workload.sync = read_sync(*key);
  if (auto key = json.optional("draws")) workload.draws = key->one_of(case_names::draws());
  if (auto key = json.optional("untied_head")) {
    workload.untied_head = key->one_of(case_names::untied_heads());
  }
  if (auto key = json.optional("sequences")) workload.sequences = key->integer(1, kMaxCount);
  return workload;
}

Execution read_trainer(const JsonReader& json) {
  const std::string name = json.string();
  if (name == "piecewise" || name == "full_graph" || name == "persistent") {
    json.fail(quoted(name), "\"eager\" or \"captured\" (a " + name + " trainer is not there yet)");
  }
  return json.one_of<Execution>({{"eager", Execution::kEager}, {"captured", Execution::kCaptured}});
}

std::vector<int64_t> read_buckets(const JsonReader& json) {
  std::vector<int64_t> buckets;
  for (const JsonReader& element : json.array(/*min_size=*/1)) {
    const int64_t size = element.integer(1, kMaxCount);
    if (!buckets.empty() && size <= buckets.back()) {
      element.fail(std::to_string(size) + " after " + std::to_string(buckets.back()),
                   "ascending token counts");
    }
    buckets.push_back(size);
  }
  return buckets;
}

// Every step that is replayed must find a bucket.
void check_largest_bucket(const JsonReader& json, const Arm& arm) {
  const WorkloadSettings& workload = arm.workload;
  const auto sequences = static_cast<int64_t>(workload.prompts.size()) * workload.group;
  const auto require = [&](int64_t least, const std::string& what) {
    if (arm.buckets.back() >= least) return;
    json.fail("a largest bucket of " + std::to_string(arm.buckets.back()),
              "at least " + std::to_string(least) + ", " + what);
  };
  const bool decodes_all = sequences <= workload.max_batch_tokens;
  if (is_replayed_whole(arm.generator) && decodes_all) {
    require(sequences, "the sequences that decode at once");
  } else if (is_replayed(arm.generator)) {
    require(workload.max_batch_tokens, "the workload's max_batch_tokens");
  }
}

// Every execution but eager has a graph.
void require_graph(const JsonReader& json, const Arm& arm) {
  if (arm.generator != Execution::kEager) return;
  json.fail(json.shown() + " with a generator that is eager",
            "generator \"captured\", \"piecewise\", \"full_graph\" or \"persistent\"");
}

// A path as a case writes it: absolute, or relative to the folder of the case's file.
std::filesystem::path resolve_path(const std::string& path, const std::filesystem::path& file) {
  return (file.parent_path() / path).lexically_normal();
}

// `holds`, its bound and its reason; `others` are keys that the caller reads.
Relation read_bound(const JsonReader& json, const case_names::Names<Holds>& names,
                    std::vector<std::string> others) {
  std::vector<std::string> known = std::move(others);
  known.insert(known.end(), {"holds", "max_ulp", "rtol", "atol", "tensors", "reason"});
  json.object(known);
  Relation relation;
  relation.holds = json.required("holds").one_of(names);
  const bool has_bound = relation.holds == Holds::kUlp || relation.holds == Holds::kAllclose;
  const auto allow_if = [&](bool is_allowed, const char* key) {
    if (!is_allowed) std::erase(known, key);
  };
  allow_if(relation.holds == Holds::kUlp, "max_ulp");
  allow_if(relation.holds == Holds::kAllclose, "rtol");
  allow_if(relation.holds == Holds::kAllclose, "atol");
  allow_if(has_bound, "tensors");
  json.object(known);
  if (auto key = json.optional("tensors")) relation.tensors = key->one_of(case_names::tensors());
  if (relation.holds == Holds::kUlp) relation.max_ulp = json.required("max_ulp").integer(0);
  if (relation.holds == Holds::kAllclose) {
    relation.rtol = json.required("rtol").number_at_least(0);
    relation.atol = json.required("atol").number_at_least(0);
  }
  if (has_bound || relation.holds == Holds::kNothing) {
    relation.reason = json.required("reason").non_empty_string();
  } else if (auto key = json.optional("reason")) {
    relation.reason = key->non_empty_string();
  }
  return relation;
}

// Every tensor of it is a scalar, so there is no rule for others; whatever parts it must be meant.
Relation read_on_policy(const JsonReader& json) {
  Relation relation = read_bound(json, case_names::on_policy_relations(), {});
  if (auto key = json.optional("tensors")) key->fail("tensors", "a rule for logprobs, all scalars");
  if (relation.holds != Holds::kBitExact) json.required("reason");
  return relation;
}

Repeats read_repeats(const JsonReader& json) {
  json.object({"weights", "rollouts"});
  Repeats repeats;
  if (auto key = json.optional("weights")) repeats.weights = key->non_empty_string();
  if (auto key = json.optional("rollouts")) repeats.rollouts = key->non_empty_string();
  return repeats;
}

// The file of a training workload's tokens as the case writes it; "" for none.
std::string read_tokens(const JsonReader& workload, Arm& arm, const std::filesystem::path& file) {
  const auto key = workload.optional("tokens");
  if (!key) return "";
  const std::string tokens = key->non_empty_string();
  arm.workload.tokens = resolve_path(tokens, file);
  return tokens;
}

Arm read_arm(const JsonReader& json, const std::string& name, const std::filesystem::path& file) {
  Arm arm;
  arm.name = name;
  const std::string model = json.required("model").non_empty_string();
  arm.model = resolve_path(model, file);
  if (auto key = json.optional("seed")) arm.seed = key->integer(0);
  if (auto key = json.optional("steps")) arm.steps = key->integer(1, kMaxCount);
  if (auto key = json.optional("timeout_s")) arm.timeout_s = key->number_above(0);
  if (auto key = json.optional("device")) arm.device = key->one_of(case_names::devices());
  if (auto key = json.optional("nonfinite")) arm.nonfinite = key->one_of(case_names::nonfinites());
  if (auto key = json.optional("on_policy")) arm.on_policy = read_on_policy(*key);
  if (auto key = json.optional("repeats")) arm.repeats = read_repeats(*key);
  if (auto key = json.optional("numerics")) arm.numerics = read_numerics(*key);
  if (auto key = json.optional("mesh")) arm.mesh = read_mesh(*key);
  if (auto key = json.optional("workload")) arm.workload = read_workload(*key);
  if (arm.workload.optimizer.state == Dtype::bfloat16 && arm.numerics.dtype != Dtype::bfloat16) {
    json.fail("workload.optimizer.state bfloat16 of a model in float32", "numerics.dtype bfloat16");
  }
  if (auto key = json.optional("generator")) arm.generator = key->one_of(case_names::executions());
  if (auto key = json.optional("trainer")) arm.trainer = read_trainer(*key);
  if (auto key = json.optional("guards")) arm.guards = key->one_of(case_names::guard_policies());
  if (auto key = json.optional("passes")) {
    require_graph(*key, arm);
    for (const JsonReader& pass : key->array()) {
      arm.passes.push_back(pass.one_of(case_names::graph_passes()));
    }
  }
  if (auto key = json.optional("buckets")) {
    arm.buckets = read_buckets(*key);
    check_largest_bucket(*key, arm);
  }
  std::string tokens;
  if (auto workload = json.optional("workload")) tokens = read_tokens(*workload, arm, file);
  if (arm.workload.kind == WorkloadKind::kTrain && tokens.empty()) {
    json.fail("workload train without tokens", "workload.tokens, a file of token ids");
  }
  if (!is_generated(arm.workload.kind) && arm.generator != Execution::kEager) {
    json.fail("generator " + to_string(arm.generator) + " of workload train, which has none",
              "trainer alone");
  }
  std::string graph;
  if (auto key = json.optional("graph")) {
    require_graph(*key, arm);
    graph = key->non_empty_string();
    arm.graph = resolve_path(graph, file);
  }
  if (auto key = json.optional("command")) {
    key->fail(key->shown(), "no command (an arm that is another program is not there yet)");
  }
  arm.canonical = json_from_arm(arm, {model, graph, tokens}).dump();
  return arm;
}

// An arm's name is a folder's name, a column's title and the first part of `--set ARM.key`.
void check_name(const JsonReader& json, const std::string& name, const std::string& what) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const bool is_good = !name.empty() && name.size() <= 64 && is_letter(name[0]) &&
                       std::all_of(name.begin(), name.end(),
                                   [&](char c) { return is_letter(c) || c == '-' || c == '_'; });
  if (!is_good) {
    json.fail(what + " " + quoted(name),
              "1 to 64 of a-z, 0-9, - and _, the first a letter or a digit");
  }
}

std::vector<Arm> read_arms(const JsonReader& json, const Json& base,
                           const std::filesystem::path& file) {
  const std::vector<std::string> names = json.keys();
  if (names.empty()) json.fail("no arm", "at least one");
  std::vector<Arm> arms;
  for (const std::string& name : names) {
    check_name(json, name, "an arm named");
    const std::vector<std::string>& reserved = case_keys();
    if (std::find(reserved.begin(), reserved.end(), name) != reserved.end()) {
      json.fail("an arm named " + quoted(name), "a name that is no key of a case");
    }
    const JsonReader overrides = json.required(name);
    overrides.object(arm_keys());
    Json settings = base;
    merge_json(settings, overrides.value());
    // The base has been read already, so what is wrong here is the arm's doing.
    arms.push_back(read_arm(JsonReader(settings, file.string(), "arms." + name), name, file));
  }
  return arms;
}

Relation read_relation(const JsonReader& json, const std::vector<Arm>& arms) {
  Relation relation = read_bound(json, case_names::relations(), {"arms"});
  const JsonReader names = json.required("arms");
  std::set<std::string> seen;
  std::vector<std::string> existing;
  for (const Arm& arm : arms) existing.push_back(arm.name);
  for (const JsonReader& element : names.array(/*min_size=*/2)) {
    const std::string name = element.string();
    if (std::find(existing.begin(), existing.end(), name) == existing.end()) {
      element.fail("no arm " + quoted(name), JsonReader::one_of_text(existing, name));
    }
    if (!seen.insert(name).second) element.fail(quoted(name) + " a second time", "every arm once");
    relation.arms.push_back(name);
  }
  if (relation.holds == Holds::kMustDiverge && relation.arms.size() != 2) {
    names.fail(std::to_string(relation.arms.size()) + " arms",
               "exactly 2 for must_diverge: the arm and its control");
  }
  return relation;
}

}  // namespace

Case parse_case(const std::string& text, const std::filesystem::path& file,
                const std::vector<std::string>& overrides) {
  Json json = parse_json(text, file.string());
  apply_overrides(json, overrides);
  const JsonReader top(json, file.string());
  top.object(case_keys());

  Case c;
  c.file = file;
  const JsonReader name = top.required("name");
  c.name = name.string();
  check_name(name, c.name, "a case named");

  if (auto key = top.optional("$schema")) key->string();  // for editors
  if (auto key = top.optional("golden")) {
    c.requires_golden = key->one_of<bool>({{"optional", false}, {"required", true}});
  }

  Json base = json;
  for (const std::string& key : kCaseOnlyKeys) base.erase(key);
  read_arm(JsonReader(base, file.string()), /*name=*/"", file);  // its errors name the case's keys
  c.model = base.at("model").get<std::string>();
  c.arms = read_arms(top.required("arms"), base, file);
  if (auto relations = top.optional("relations")) {
    for (const JsonReader& element : relations->array()) {
      c.relations.push_back(read_relation(element, c.arms));
    }
  }
  return c;
}

Case load_case(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  return parse_case(read_text_file(file.string()), file, overrides);
}

std::string with_defaults(const std::string& canonical, const std::string& where) {
  const Json json = parse_json(canonical, where);
  const JsonReader reader(json, where);
  reader.object(arm_keys());
  return read_arm(reader, /*name=*/"", where).canonical;
}

}  // namespace samebits
