#include "harness/diagnose/reductions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/base/text.h"
#include "harness/case/case_keys.h"
#include "harness/case/case_write.h"
#include "harness/diagnose/model_cut.h"

namespace samebits {
namespace {

using Pointer = Json::json_pointer;

std::string shown(const Json& value) {
  return value.is_null() ? "default" : shortened(value.dump(), /*longest=*/60);
}

std::vector<std::string> arms_of(const Candidate& candidate) {
  std::vector<std::string> names;
  for (const auto& [name, arm] : candidate.settings.at("arms").items()) names.push_back(name);
  return names;
}

Json at_or_null(const Json& json, const Pointer& key) {
  return json.contains(key) ? json.at(key) : Json();
}

// What an arm has at a key; null where it has none.
Json value_in(const Candidate& candidate, const std::string& arm, const Pointer& key) {
  return at_or_null(candidate.settings.at("arms").at(arm), key);
}

// The candidate with other values of a key in some arms; null takes the key away, for its default.
Candidate with(const Candidate& from, const std::vector<std::string>& arms, const Pointer& key,
               const Json& value, const std::string& change) {
  Candidate candidate = from;
  for (const std::string& arm : arms) {
    Json& settings = candidate.settings["arms"][arm];
    if (!value.is_null()) {
      settings[key] = value;
    } else if (settings.contains(key)) {
      settings[key.parent_pointer()].erase(key.back());
    }
  }
  candidate.change = change;
  return candidate;
}

// A whole number that all arms have the same of.
Reduction number(const std::string& name, const std::string& key, int64_t by_default) {
  return {name, [=](const Candidate& from) {
            std::vector<Candidate> smaller;
            const std::vector<std::string> arms = arms_of(from);
            int64_t largest = 1;
            for (const std::string& arm : arms) {
              const Json value = value_in(from, arm, Pointer(key));
              largest = std::max(largest, value.is_null() ? by_default : value.get<int64_t>());
            }
            for (const int64_t value : smaller_numbers(largest, /*least=*/1)) {
              smaller.push_back(with(from, arms, Pointer(key), value,
                                     fmt::format("{} {} -> {}", name, largest, value)));
            }
            return smaller;
          }};
}

// A whole number of each arm's own: a degree of parallelism, which is halved.
Reduction degree(const std::string& name, const std::string& key) {
  return {name, [=](const Candidate& from) {
            std::vector<Candidate> smaller;
            for (const std::string& arm : arms_of(from)) {
              const Json value = value_in(from, arm, Pointer(key));
              if (!value.is_number_integer()) continue;
              for (int64_t less = 1; less < value.get<int64_t>(); less *= 2) {
                smaller.push_back(
                    with(from, {arm}, Pointer(key), less,
                         fmt::format("{} of {} {} -> {}", name, arm, value.get<int64_t>(), less)));
              }
            }
            return smaller;
          }};
}

// A list that all arms have the same of.
Reduction list(const std::string& name, const std::string& key, size_t least) {
  return {name, [=](const Candidate& from) {
            std::vector<Candidate> smaller;
            const std::vector<std::string> arms = arms_of(from);
            const Json whole = value_in(from, arms.front(), Pointer(key));
            for (const Json& part : smaller_lists(whole, least)) {
              smaller.push_back(with(from, arms, Pointer(key), part,
                                     fmt::format("{} {} -> {}", name, whole.size(), part.size())));
            }
            return smaller;
          }};
}

// A list of each arm's own.
Reduction own_list(const std::string& name, const std::string& key) {
  return {name, [=](const Candidate& from) {
            std::vector<Candidate> smaller;
            for (const std::string& arm : arms_of(from)) {
              const Json whole = value_in(from, arm, Pointer(key));
              for (const Json& part : smaller_lists(whole, /*least=*/0)) {
                smaller.push_back(
                    with(from, {arm}, Pointer(key), part.empty() ? Json() : part,
                         fmt::format("{} of {} {} -> {}", name, arm, whole.size(), part.size())));
              }
            }
            return smaller;
          }};
}

// Up to the end of a character of UTF-8.
std::string prefix_of(const std::string& text, size_t bytes) {
  while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) ++bytes;
  return text.substr(0, bytes);
}

std::vector<Candidate> shorter_prompts(const Candidate& from) {
  std::vector<Candidate> smaller;
  const std::vector<std::string> arms = arms_of(from);
  const Pointer key("/workload/prompts");
  const Json prompts = value_in(from, arms.front(), key);
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto text = prompts[i].at("prompt").get<std::string>();
    for (const int64_t bytes : smaller_numbers(static_cast<int64_t>(text.size()), 1)) {
      Json shorter = prompts;
      const std::string prefix = prefix_of(text, static_cast<size_t>(bytes));
      if (prefix.size() == text.size()) continue;
      shorter[i]["prompt"] = prefix;
      smaller.push_back(
          with(from, arms, key, shorter,
               fmt::format("prompt {} {} -> {} bytes", i, text.size(), prefix.size())));
    }
  }
  return smaller;
}

std::vector<std::string> prompts_of(const Candidate& candidate) {
  std::vector<std::string> texts;
  for (const std::string& arm : arms_of(candidate)) {
    for (const Json& each : value_in(candidate, arm, Pointer("/workload/prompts"))) {
      texts.push_back(each.at("prompt").get<std::string>());
    }
  }
  return texts;
}

// Models of unequal sizes are cut as the first one is.
std::vector<Candidate> smaller_models(const Candidate& from) {
  std::vector<Candidate> smaller;
  const std::vector<std::string> models = models_of(from);
  if (models.empty()) return smaller;
  const std::vector<std::string> prompts = prompts_of(from);
  for (const ModelSize& size : model_sizes_of(models.front(), from.model_sizes, prompts)) {
    for (const int64_t value : smaller_numbers(size.value, size.least, size.multiple)) {
      smaller.push_back(from);
      smaller.back().model_sizes[size.key] = value;
      smaller.back().change = fmt::format("{} {} -> {}", size.name, size.value, value);
    }
  }
  return smaller;
}

// Modes of a generator, the simplest first.
constexpr const char* kModes[] = {"eager",      "captured",           "piecewise",
                                  "full_graph", "full_and_piecewise", "full_graph_always",
                                  "persistent"};

std::vector<Candidate> simpler_modes(const Candidate& from) {
  std::vector<Candidate> smaller;
  for (const std::string& arm : arms_of(from)) {
    for (const char* side : {"trainer", "generator"}) {
      const Pointer key = Pointer() / std::string(side);
      const Json value = value_in(from, arm, key);
      if (value.is_null()) continue;
      const bool is_word = value.is_string();
      const auto mode = (is_word ? value : value.at("mode")).get<std::string>();
      for (const char* simpler : kModes) {
        if (mode == simpler) break;
        const Pointer at = is_word ? key : key / "mode";
        smaller.push_back(with(from, {arm}, at, simpler,
                               fmt::format("{} of {} {} -> {}", side, arm, mode, simpler)));
      }
    }
  }
  return smaller;
}

// All ranks in one process, which moves no bit and saves starting them.
std::vector<Candidate> one_process(const Candidate& from) {
  const Pointer key("/mesh/kind");
  std::vector<std::string> in_processes;
  for (const std::string& arm : arms_of(from)) {
    const Json kind = value_in(from, arm, key);
    if (!kind.is_null() && kind != to_string(MeshKind::kLocal)) in_processes.push_back(arm);
  }
  if (in_processes.empty()) return {};
  return {with(from, in_processes, key, to_string(MeshKind::kLocal), "all ranks in one process")};
}

// Keys that say how much is done, which other reductions make smaller; and those that say what is
// run and judged, without which it is another case; beside those that another program has too.
constexpr const char* kNoSettings[] = {"/model",
                                       "/repeats",
                                       "/workload/name",
                                       "/workload/prompts",
                                       "/workload/group",
                                       "/workload/max_new_tokens",
                                       "/workload/sequences",
                                       "/workload/tokens",
                                       "/generator",
                                       "/trainer"};

// What another program is, all but the seed that it is told, is no setting.
bool is_of_program(const std::string& key) {
  const std::vector<std::string>& keys = program_keys();
  return key != "/seed" && std::find(keys.begin(), keys.end(), key.substr(1)) != keys.end();
}

bool is_setting(const std::string& key) {
  if (is_of_program(key)) return false;
  return std::none_of(std::begin(kNoSettings), std::end(kNoSettings),
                      [&](const char* each) { return key == each; });
}

// The keys at which `json` has a value; objects are descended into.
void add_keys(const Json& json, const std::string& prefix, std::vector<std::string>& keys) {
  for (const auto& [name, value] : json.items()) {
    const std::string key = prefix + "/" + name;
    if (!is_setting(key)) continue;
    if (is_group_of_settings(name)) {
      add_keys(value, key, keys);
    } else if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      keys.push_back(key);
    }
  }
}

// Every setting that is no default made one: in all arms, then in one; and where arms differ, made
// that of the other.
std::vector<Candidate> plainer_settings(const Candidate& from) {
  static const Json defaults = json_from_arm(CaseArm());
  std::vector<Candidate> smaller;
  const std::vector<std::string> arms = arms_of(from);
  std::vector<std::string> keys;
  for (const std::string& arm : arms) add_keys(from.settings.at("arms").at(arm), "", keys);
  for (const std::string& key : keys) {
    const Pointer at(key);
    const Json by_default = at_or_null(defaults, at);
    const auto add = [&](const std::vector<std::string>& changed, const Json& value) {
      smaller.push_back(with(
          from, changed, at, value,
          fmt::format("{} of {} -> {}", key.substr(1), fmt::join(changed, ", "), shown(value))));
    };
    std::vector<std::string> unusual;
    for (const std::string& arm : arms) {
      if (value_in(from, arm, at) != by_default) unusual.push_back(arm);
    }
    if (unusual.empty()) continue;
    add(unusual, by_default);
    if (unusual.size() < 2) continue;
    for (const std::string& arm : unusual) add({arm}, by_default);
    const Json first = value_in(from, arms.front(), at);
    if (value_in(from, arms.back(), at) != first) add({arms.back()}, first);
  }
  return smaller;
}

int64_t count_programs(const Candidate& candidate) {
  const Json& arms = candidate.settings.at("arms");
  return std::count_if(arms.begin(), arms.end(), [](const Json& arm) {
    return arm.contains("command") || arm.contains("recorded");
  });
}

}  // namespace

std::vector<int64_t> smaller_numbers(int64_t value, int64_t least, int64_t multiple) {
  std::vector<int64_t> numbers;
  const auto add = [&](int64_t number) {
    number -= number % multiple;
    const bool is_new = numbers.empty() || number > numbers.back();
    if (number >= least && number < value && is_new) numbers.push_back(number);
  };
  add(least + (multiple - least % multiple) % multiple);
  for (int64_t away = value / 2; away > 0; away /= 2) add(value - away);
  add(value - multiple);
  return numbers;
}

std::vector<Json> smaller_lists(const Json& whole, size_t least) {
  std::vector<Json> lists;
  if (!whole.is_array()) return lists;
  const size_t size = whole.size();
  const auto add = [&](const Json& part) {
    const bool is_new = std::find(lists.begin(), lists.end(), part) == lists.end();
    if (part.size() >= least && part.size() < size && is_new) lists.push_back(part);
  };
  if (least == 0) add(Json::array());
  for (size_t length = size / 2; length > 0; length /= 2) {
    for (size_t begin = 0; begin < size; begin += length) {
      Json part = Json::array(), rest = Json::array();
      for (size_t i = 0; i < size; ++i) {
        (i >= begin && i < begin + length ? part : rest).push_back(whole[i]);
      }
      if (length == size / 2) add(part);
      add(rest);
    }
  }
  return lists;
}

std::vector<Reduction> reductions_of(const CaseFailure& failure, const Candidate& whole) {
  const WorkloadSettings usual;
  const Json workload = value_in(whole, arms_of(whole).front(), Pointer("/workload/name"));
  const Reduction steps = number("steps", "/steps", CaseArm().steps);
  const auto programs = static_cast<size_t>(count_programs(whole));
  if (programs == arms_of(whole).size()) return {steps, {"settings", plainer_settings}};
  // What an arm of samebits does less of than its program differs from it all the same.
  if (programs > 0) return {steps};
  std::vector<Reduction> all = {{"processes", one_process}, steps};
  if (workload == to_string(WorkloadKind::kTrain)) {
    all.push_back(number("sequences", "/workload/sequences", usual.sequences));
  } else {
    all.push_back(list("prompts", "/workload/prompts", 1));
    all.push_back(number("samples a prompt", "/workload/group", usual.group));
    all.push_back(number("tokens", "/workload/max_new_tokens", usual.max_new_tokens));
  }
  all.push_back({"model", smaller_models});
  if (workload != to_string(WorkloadKind::kTrain)) {
    all.push_back({"length of prompts", shorter_prompts});
  }
  if (failure.kind == CaseFailure::Kind::kHolds) {
    all.erase(all.begin());
    return all;
  }
  all.push_back(degree("TP", "/mesh/tp"));
  all.push_back(degree("replicas", "/mesh/dp"));
  all.push_back({"modes", simpler_modes});
  all.push_back(own_list("passes", "/passes"));
  all.push_back(own_list("passes of the trainer", "/trainer/passes"));
  all.push_back(own_list("buckets", "/buckets"));
  all.push_back({"settings", plainer_settings});
  return all;
}

}  // namespace samebits
