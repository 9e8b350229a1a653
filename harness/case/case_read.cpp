// Reads a case: JSON -> plain structs, every rule checked here and nowhere else.

#include <algorithm>
#include <bit>
#include <cmath>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/base/pattern.h"
#include "harness/case/case.h"
#include "harness/case/case_keys.h"
#include "harness/case/case_overrides.h"
#include "harness/case/case_relation.h"
#include "harness/case/case_write.h"
#include "harness/case/fields.h"

namespace samebits {
namespace {

using namespace fields;

template <class T>
void read_fields(const JsonReader& json, T& value);

// ---- One value, by its rule ---------------------------------------------------------------------
void read_value(const JsonReader& json, bool& value, const Flag&) { value = json.boolean(); }

void read_value(const JsonReader& json, int64_t& value, const Integer& rule) {
  value = json.integer(rule.min, rule.max);
}

void read_value(const JsonReader& json, double& value, const Number& rule) {
  if (std::isfinite(rule.max)) {
    value = json.number_in(rule.min, rule.max, rule.min_included, rule.max_included);
  } else {
    value = rule.min_included ? json.number_at_least(rule.min) : json.number_above(rule.min);
  }
}

void read_value(const JsonReader& json, std::string& value, const Text& rule) {
  value = json.non_empty_string();
  const auto is_capital = [](char c) { return c >= 'A' && c <= 'Z'; };
  if (rule.is_lower_case && std::any_of(value.begin(), value.end(), is_capital)) {
    json.fail(quoted(value), "lower case (it is looked for in the lower-cased completion)");
  }
}

void read_value(const JsonReader& json, std::filesystem::path& value, const Path&) {
  value = json.non_empty_string();
}

void read_value(const JsonReader& json, std::map<std::string, std::string>& value,
                const Variables&) {
  value.clear();
  for (const std::string& name : json.keys()) {
    if (name.empty() || name.find('=') != std::string::npos) {
      json.fail("a variable named " + quoted(name), "a name without =");
    }
    value[name] = json.required(name).string();
  }
}

template <class T>
void read_value(const JsonReader& json, T& value, const Choice<T>& rule) {
  const std::string word = json.string();
  for (const auto& [refused, reason] : rule.refused) {
    if (refused != word) continue;
    std::vector<std::string> words;
    for (const auto& [name, unused] : rule.names) words.push_back(name);
    json.fail(quoted(word), JsonReader::one_of_text(words, "") + " (" + reason + ")");
  }
  value = json.one_of(rule.names);
}

template <class T>
void read_value(const JsonReader& json, T& value, const Object&) {
  read_fields(json, value);
}

void read_value(const JsonReader& json, std::optional<NumericsSettings>& value, const Over& rule) {
  NumericsSettings numerics = rule.base;
  read_fields(json, numerics);
  if (numerics.dtype != rule.base.dtype) {
    json.required("dtype").fail("another dtype than the arm's", "one dtype on both sides");
  }
  value = numerics;
}

void read_value(const JsonReader& json, std::array<double, 2>& value, const Pair& rule) {
  const std::vector<JsonReader> elements = json.array();
  if (elements.size() != 2) json.fail(json.shown(), "two numbers in [0, 1)");
  for (size_t i = 0; i < 2; ++i) read_value(elements[i], value[i], rule.element);
}

template <class T, class Rule>
void read_value(const JsonReader& json, std::vector<T>& values, const List<Rule>& rule) {
  values.clear();
  for (const JsonReader& element : json.array(rule.min_size)) {
    T value;
    read_value(element, value, rule.element);
    if constexpr (std::is_same_v<T, int64_t>) {
      if (rule.is_ascending && !values.empty() && value <= values.back()) {
        element.fail(std::to_string(value) + " after " + std::to_string(values.back()),
                     "ascending token counts");
      }
    }
    values.push_back(std::move(value));
  }
}

void read_value(const JsonReader& json, std::optional<std::vector<std::string>>& names,
                const Symbols& rule) {
  Names<std::string> known;
  for (const std::string& name : rule.names) known.emplace_back(name, name);
  std::vector<std::string> read;
  for (const JsonReader& element : json.array()) read.push_back(element.one_of(known));
  names = read;
}

void read_value(const JsonReader& json, std::map<std::string, int64_t>& sizes, const Sizes& rule) {
  json.object(rule.names);
  sizes.clear();
  for (const std::string& name : json.keys()) {
    read_value(json.required(name), sizes[name], kCount);
  }
}

void read_value(const JsonReader& json, SyncSettings& sync, const Sync&) {
  sync = {};
  if (!json.value().is_object()) {
    sync.is_on = json.one_of<bool>({{"every", true}, {"never", false}});
    return;
  }
  json.object({"late", "except"});
  if (json.keys().size() != 1) json.fail(json.shown(), R"("every", "never", "late" or "except")");
  if (auto key = json.optional("late")) read_value(*key, sync.late, kCount);
  if (auto key = json.optional("except")) read_value(*key, sync.except, List<Text>{{}, 1});
}

void read_value(const JsonReader& json, std::optional<Relation>& relation, const OnPolicy&) {
  relation = read_on_policy(json);
}

// What the object form says beside its mode is read once the arm is known (read_side).
void read_value(const JsonReader& json, SideSettings& side, const Side& rule) {
  const bool is_object = json.value().is_object();
  read_value(is_object ? json.required("mode") : json, side.execution, rule.modes);
}

// ---- Objects ------------------------------------------------------------------------------------
class FieldReader {
 public:
  explicit FieldReader(const JsonReader& json) : json_(json) {}
  template <class T, class Rule>
  void operator()(const Field& field, T& value, const Rule& rule) {
    if (field.traits & kRequired) json_.required(field.key);
    if (auto key = json_.optional(field.key)) read_value(*key, value, rule);
  }

 private:
  const JsonReader& json_;
};

template <class T>
void read_fields(const JsonReader& json, T& value) {
  json.object(keys_of<T>());
  FieldReader reader(json);
  visit_fields(reader, value);
}

// The object form of a side, after the arm's own keys.
void read_side(const JsonReader& arm_json, const std::string& name, const Side& rule,
               SideSettings& side) {
  const auto json = arm_json.optional(name);
  if (!json || !json->value().is_object()) return;
  FieldCollector known;
  visit_side(known, side, rule);
  json->object(known.keys());
  for (const std::string key : {"passes", "graph"}) {
    if (rule.is_generator && json->optional(key) && arm_json.optional(key)) {
      json->required(key).fail(key + " in the arm and in its generator", "one of the two");
    }
  }
  FieldReader reader(*json);
  visit_side(reader, side, rule);
}

// ---- What no single value shows -----------------------------------------------------------------
void check_optimizer(const JsonReader& json, const CaseArm& arm) {
  if (arm.workload.optimizer.state != Dtype::bfloat16) return;
  const JsonReader state = json.required("workload").required("optimizer").required("state");
  if (arm.workload.optimizer.master) {
    state.fail("bfloat16 beside master weights in float32", "master \"none\"");
  }
  if (arm.numerics.dtype != Dtype::bfloat16) {
    state.fail("bfloat16 of a model in float32", "numerics.dtype bfloat16");
  }
}

void check_groups(const JsonReader& json, const CaseArm& arm) {
  const int64_t groups = arm.workload.gradient_groups;
  if (std::has_single_bit(static_cast<uint64_t>(groups))) return;
  json.required("workload")
      .required("gradient_groups")
      .fail(std::to_string(groups), "a power of two");
}

// Faults of a loop that generates and trains.
void check_loop(const JsonReader& json, const CaseArm& arm) {
  const WorkloadSettings& workload = arm.workload;
  const auto refuse = [&](const char* name, const std::string& expected) {
    const JsonReader key = json.required("workload").required(name);
    key.fail(key.shown() + " of workload " + to_string(workload.kind), expected);
  };
  if (workload.kind != WorkloadKind::kGrpo) {
    if (workload.processed_logprobs != ProcessedLogprobs::kNone) {
      refuse("processed_logprobs", "workload grpo");
    }
    if (workload.prefix_pages != PrefixPages::kFresh) refuse("prefix_pages", "workload grpo");
    if (workload.prompt_padding != PromptPadding::kNone) refuse("prompt_padding", "workload grpo");
  }
  if (workload.processed_logprobs != ProcessedLogprobs::kNone && workload.temperature == 0) {
    json.required("workload").required("processed_logprobs").fail("temperature 0", "above 0");
  }
}

// Every execution but eager has a graph.
void check_graph_keys(const JsonReader& json, const CaseArm& arm) {
  const auto refuse = [&](const JsonReader& in, const std::string& side, const std::string& modes) {
    for (const char* name : {"passes", "graph", "dynamic", "traced_at"}) {
      if (auto key = in.optional(name)) {
        key->fail(key->shown() + " with a " + side + " that is eager", side + " " + modes);
      }
    }
  };
  const auto refuse_in = [&](const std::string& side, const std::string& modes) {
    const auto object = json.optional(side);
    if (object && object->value().is_object()) refuse(*object, side, modes);
  };
  const std::string modes =
      "\"captured\", \"piecewise\", \"full_graph\", \"full_graph_always\", "
      "\"full_and_piecewise\", \"persistent\" or \"aot_inductor\"";
  if (!arm.generator.is_traced()) {
    refuse(json, "generator", modes);
    refuse_in("generator", modes);
  }
  if (!arm.trainer.is_traced()) {
    refuse_in("trainer", R"("captured", "full_graph" or "aot_inductor")");
  }
  const auto trainer = json.optional("trainer");
  if (!trainer || !trainer->value().is_object() || arm.trainer.is_replayed()) return;
  if (auto key = trainer->optional("buckets")) {
    key->fail(key->shown() + " with a trainer that is " + to_string(arm.trainer.execution),
              "trainer \"full_graph\"");
  }
}

// A package belongs to the mode that runs it, and to no other.
void check_packages(const JsonReader& json, const CaseArm& arm) {
  const auto check = [&](const char* name, const SideSettings& side) {
    const bool is_compiled = side.execution == Execution::kAotInductor;
    if (is_compiled == !side.package.empty()) return;
    const JsonReader key = json.required(name);
    if (is_compiled) {
      key.fail("aot_inductor without a package",
               R"({"mode": "aot_inductor", "package": a file of tools/aot-package})");
    }
    key.required("package").fail("a package with mode " + to_string(side.execution),
                                 "mode \"aot_inductor\"");
  };
  check("generator", arm.generator);
  check("trainer", arm.trainer);
}

// Older weights that are under way to the generator are no part of a checkpoint.
void check_checkpoints(const JsonReader& json, const CaseArm& arm) {
  if (arm.checkpoint_every == 0 || has_whole_state(arm.workload)) return;
  const JsonReader key = json.required("checkpoint_every");
  if (arm.workload.sync.late > 0) {
    key.fail("checkpoints of an arm whose weights come late", "workload.sync \"every\"");
  }
  key.fail("checkpoints of an arm that keeps pages", "workload.prefix_pages \"fresh\"");
}

// What is planted is written by the host.
void check_plant(const JsonReader& json, const CaseArm& arm) {
  if (!arm.plant.is_planted()) return;
  const JsonReader plant = json.required("plant");
  plant.required("op");
  plant.required("phase");
  if (arm.device == DeviceKind::kCuda) plant.fail("a planted fault on a card", "device cpu");
}

// Whether its own tensors can be kept is said by each kind of arm.
void check_keep(const JsonReader& json, const CaseArm& arm) {
  const auto keep = json.optional("keep");
  if (!keep) return;
  const JsonReader sites = keep->required("sites");
  const Pattern pattern(arm.keep.sites, sites.where());
  if (arm.is_program()) return;
  if (arm.mesh.has_processes()) {
    keep->fail("keep of an arm whose ranks are processes", "mesh.kind \"local\"");
  }
  if (arm.checkpoint_every > 0) {
    keep->fail("keep beside checkpoint_every", "one of the two: tensors are kept from step 0 on");
  }
}

void check_training(const JsonReader& json, const CaseArm& arm) {
  if (is_generated(arm.workload.kind)) return;
  if (arm.workload.tokens.empty()) {
    json.fail("workload train without tokens", "workload.tokens, a file of token ids");
  }
  if (arm.generator.is_traced()) {
    json.fail(
        "generator " + to_string(arm.generator.execution) + " of workload train, which has none",
        "trainer alone");
  }
}

void check_rollouts(const JsonReader& json, const CaseArm& arm) {
  if (arm.workload.rollouts.empty() || arm.workload.kind == WorkloadKind::kGrpo) return;
  json.required("workload")
      .required("rollouts")
      .fail("rollouts of workload " + to_string(arm.workload.kind),
            "workload grpo, or no such key");
}

// ---- Arms ---------------------------------------------------------------------------------------
// A path as a case writes it: absolute, or relative to the folder of the case's file.
void resolve(std::filesystem::path& path, const std::filesystem::path& file) {
  if (!path.empty()) path = (file.parent_path() / path).lexically_normal();
}

bool is_program(const JsonReader& json) {
  return json.optional("command") || json.optional("recorded");
}

// Neither a program nor its environment can be given what has a NUL in it.
void check_no_nul(const JsonReader& json, const std::string& text) {
  if (text.find('\0') != std::string::npos) json.fail(json.shown(), "text without a NUL");
}

// A path that leads out of the folder that it is in.
bool leads_out(const std::filesystem::path& path) {
  const std::filesystem::path normal = path.lexically_normal();
  return normal.is_absolute() || (!normal.empty() && *normal.begin() == "..");
}

void check_commit(const JsonReader& json, const ProgramSettings& program) {
  const auto commit = json.optional("commit");
  if (!commit) {
    for (const char* key : {"repository", "build"}) {
      if (auto found = json.optional(key)) {
        found->fail(std::string(key) + " without a commit", "a commit, or no such key");
      }
    }
    if (program.is_told(ProgramSettings::kCheckout)) {
      json.required("command").fail("{checkout} without a commit", "a commit, or no such word");
    }
    return;
  }
  check_no_nul(*commit, program.commit);
  if (program.commit.front() == '-') commit->fail(commit->shown(), "a revision of the repository");
  if (auto build = json.optional("build")) {
    for (const JsonReader& each : build->array()) check_no_nul(each, each.string());
  }
  if (auto cwd = json.optional("cwd"); cwd && leads_out(program.cwd)) {
    cwd->fail(cwd->shown(), "a folder in the checkout");
  }
}

// A word that would be passed on as it is.
void check_words(const JsonReader& json, const std::string& text) {
  const std::string word = ProgramSettings::misspelt_word(text);
  if (!word.empty()) {
    json.fail("the word " + word, JsonReader::one_of_text(ProgramSettings::words(), word));
  }
}

void check_program(const JsonReader& json, const ProgramSettings& program) {
  if (!program.recorded.empty()) {
    for (const char* key :
         {"command", "env", "cwd", "repeat", "observations", "commit", "repository", "build"}) {
      if (auto found = json.optional(key)) {
        found->fail(std::string(key) + " beside recorded", "one of the two");
      }
    }
    return;
  }
  if (auto log = json.optional("log"); log && !program.has_log()) {
    log->fail("no log that it is of", "recorded or observations");
  }
  if (auto log = json.optional("observations")) {
    // What lies elsewhere may be of an earlier run.
    if (leads_out(program.observations)) log->fail(log->shown(), "a file in {out}, or -");
  }
  check_commit(json, program);
  const JsonReader command = json.required("command");
  for (const JsonReader& each : command.array()) {
    check_no_nul(each, each.string());
    check_words(each, each.string());
  }
  if (auto env = json.optional("env")) {
    for (const auto& [name, value] : program.env) {
      check_words(*env, value);
      check_no_nul(*env, name);
      check_no_nul(*env, value);
    }
  }
  const bool writes = program.observations != ProgramSettings::kPrinted;
  if (auto keep = json.optional("keep")) {
    if (program.has_log()) keep->fail("keep of an arm that is read from a log", "no such key");
    if (!program.is_told(ProgramSettings::kKeep)) {
      keep->fail("keep of a program that is not told it", "{keep} in the command, or no such key");
    }
  }
  if (writes && !program.is_told(ProgramSettings::kOut)) {
    command.fail(command.shown() + ", of which nothing would be observed",
                 "{out}, the folder that it writes to, in the command or in a value of env");
  }
}

// What the arm inherits from the case says nothing to another program.
CaseArm read_program(const JsonReader& json, const std::string& name,
                     const std::filesystem::path& file) {
  CaseArm arm;
  arm.name = name;
  FieldReader reader(json);
  visit_fields(reader, arm);
  check_program(json, arm.program);
  CaseArm program;
  program.name = name;
  program.workload.kind = WorkloadKind::kProgram;
  program.seed = arm.seed;
  program.steps = arm.steps;
  program.timeout_s = arm.timeout_s;
  program.nonfinite = arm.nonfinite;
  program.on_policy = arm.on_policy;
  if (arm.program.recorded.empty()) program.keep = arm.keep;
  program.program = arm.program;
  if (arm.program.recorded.empty()) check_keep(json, program);
  program.canonical = json_from_arm(program).dump();
  resolve(program.program.recorded, file);
  const bool is_of_commit = program.program.is_of_commit();
  if (!program.program.recorded.empty()) return program;
  // What of a commit is relative to the case's file is the repository; its cwd is in the checkout.
  std::filesystem::path& anchored = is_of_commit ? program.program.repository : program.program.cwd;
  const std::filesystem::path folder = file.parent_path();
  anchored = anchored.empty() ? folder : (folder / anchored).lexically_normal();
  if (anchored.empty()) anchored = ".";
  return program;
}

CaseArm read_arm(const JsonReader& json, const std::string& name,
                 const std::filesystem::path& file) {
  if (is_program(json)) return read_program(json, name, file);
  CaseArm arm;
  arm.name = name;
  FieldReader reader(json);
  visit_fields(reader, arm);
  arm.trainer.guards = arm.generator.guards;
  read_side(json, "generator", generator_rule(arm), arm.generator);
  read_side(json, "trainer", trainer_rule(arm), arm.trainer);
  check_optimizer(json, arm);
  check_groups(json, arm);
  check_loop(json, arm);
  check_graph_keys(json, arm);
  check_packages(json, arm);
  check_training(json, arm);
  check_rollouts(json, arm);
  check_checkpoints(json, arm);
  check_plant(json, arm);
  check_keep(json, arm);
  for (const char* name_of_key : {"env", "cwd", "repeat", "commit", "repository", "build"}) {
    if (auto key = json.optional(name_of_key)) {
      key->fail(std::string(name_of_key) + " without a command", "a command, or no such key");
    }
  }
  arm.canonical = json_from_arm(arm).dump();
  for (std::filesystem::path* path : paths_of(arm)) {
    resolve(*path, file);
  }
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

// What a program is not told would be believed to have an effect.
void check_program_keys(const JsonReader& overrides) {
  const std::vector<std::string>& known = program_keys();
  for (const std::string& key : overrides.keys()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    overrides.fail(key + " in an arm that is another program", JsonReader::one_of_text(known, key));
  }
}

std::vector<CaseArm> read_arms(const JsonReader& json, const Json& base,
                               const std::filesystem::path& file) {
  const std::vector<std::string> names = json.keys();
  if (names.empty()) json.fail("no arm", "at least one");
  std::vector<CaseArm> arms;
  for (const std::string& name : names) {
    check_name(json, name, "an arm named");
    const std::vector<std::string>& reserved = reserved_arm_names();
    if (std::find(reserved.begin(), reserved.end(), name) != reserved.end()) {
      json.fail("an arm named " + quoted(name), "a name that is no key of a case, and no side");
    }
    const JsonReader overrides = json.required(name);
    overrides.object(arm_keys());
    if (is_program(overrides)) check_program_keys(overrides);
    Json settings = base;
    merge_json(settings, overrides.value());
    // The base has been read already, so what is wrong here is the arm's doing.
    arms.push_back(read_arm(JsonReader(settings, file.string(), "arms." + name), name, file));
  }
  return arms;
}

}  // namespace

Fault read_fault(const JsonReader& json) {
  Fault fault;
  read_fields(json, fault);
  return fault;
}

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
  for (const std::string& key : case_only_keys()) base.erase(key);
  read_arm(JsonReader(base, file.string()), /*name=*/"", file);  // its errors name the case's keys
  if (auto model = top.optional("model")) c.model = model->string();
  c.arms = read_arms(top.required("arms"), base, file);
  std::vector<std::string> names;
  for (const CaseArm& arm : c.arms) {
    names.push_back(arm.name);
    if (!arm.is_program()) top.required("model");
  }
  if (auto relations = top.optional("relations")) {
    for (const JsonReader& element : relations->array()) {
      c.relations.push_back(read_relation(element, names, file.parent_path()));
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
