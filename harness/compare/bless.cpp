#include "harness/compare/bless.h"

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/json_difference.h"
#include "harness/compare/condense.h"
#include "harness/compare/divergence.h"
#include "harness/compare/evidence.h"
#include "harness/compare/on_policy.h"
#include "harness/compare/verdict.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

// Arms in groups that share a golden, in the order of the case.
using Groups = std::vector<std::vector<const CaseArm*>>;

size_t group_of(const Groups& groups, const std::string& arm) {
  for (size_t i = 0; i < groups.size(); ++i) {
    for (const CaseArm* each : groups[i]) {
      if (each->name == arm) return i;
    }
  }
  return groups.size();
}

// Plain LibTorch kernels promise no bits.
Groups groups_of(const Case& c) {
  Groups groups;
  for (const CaseArm& arm : c.arms) {
    if (is_contracted(arm)) groups.push_back({&arm});
  }
  for (const Relation& relation : c.relations) {
    if (relation.holds != Holds::kBitExact) continue;
    for (size_t i = 1; i < relation.arms.size(); ++i) {
      const size_t into = group_of(groups, relation.arms[0]);
      const size_t from = group_of(groups, relation.arms[i]);
      if (into == from || into == groups.size() || from == groups.size()) continue;
      const size_t first = std::min(into, from);
      const size_t second = std::max(into, from);
      groups[first].insert(groups[first].end(), groups[second].begin(), groups[second].end());
      groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(second));
    }
  }
  return groups;
}

void check_recording(const CaseArm& arm, const ArmRecording& recording) {
  const std::string where = "arm " + arm.name;
  if (!recording.finished) throw InputError(where, "a run that was cut off", "a finished one");
  const std::string failure = evidence_of(arm, recording).first();
  if (!failure.empty()) throw InputError(where, failure, "a run that proves something");
  for (const StreamContents& rank : recording.ranks) {
    const std::string reason = degeneracy(rank.observations);
    if (!reason.empty()) throw InputError(where, reason, "a stream that can show a difference");
  }
  const auto on_policy = on_policy_of(arm, recording);
  if (on_policy && !on_policy->holds) {
    throw InputError(where, on_policy->text(), "an arm whose generator and trainer agree");
  }
}

// What the golden of one arm would lose; "" for nothing, or where it has none.
std::string what_changes(const Golden& old, const Golden& now, const std::string& arm) {
  const Json before = Json::parse(deciding_settings(old.settings_of(arm)->dump()));
  const Json after = Json::parse(deciding_settings(now.settings_of(arm)->dump()));
  std::string text;
  if (const auto difference = first_difference(before, after)) {
    text = "settings changed at " + difference->key;
  }
  const PairComparison comparison = compare_streams(old.observations, now.observations, Relation());
  if (comparison.first) {
    if (!text.empty()) text += "; ";
    text += "first changed: " + comparison.first->text();
  }
  return text;
}

// What is tied no more once `now` is written: an arm of `old`, which it takes the place of, or the
// arm that it takes out of `old`. "" for none.
std::string what_is_lost(const Golden& old, const Golden& now, const std::string& arm) {
  if (now.settings_of(old.name) == nullptr) return arm + " is tied to " + old.name + " no more";
  for (const auto& [other, settings] : old.settings) {
    if (now.settings_of(other) == nullptr) return other + " is tied to it no more";
  }
  return "";
}

// What stands in the golden folder today.
struct Existing {
  std::vector<Golden> goldens;
  std::vector<std::pair<std::string, std::string>> broken;  // name, and what is wrong with it
};

Existing read_existing(const fs::path& folder, const std::string& case_name) {
  Existing existing;
  for (const std::string& name : golden_names(folder, case_name)) {
    try {
      existing.goldens.push_back(read_golden(folder, case_name, name));
    } catch (const InputError& error) {
      existing.broken.emplace_back(name, error.what());
    }
  }
  return existing;
}

// The line that tells what blessing `now` does. Throws InputError for a change without a reason.
std::string line_of(const Golden& now, const Existing& existing, const std::string& reason) {
  std::string change;
  bool is_new = true;
  for (const auto& [arm, settings] : now.settings) {
    for (const auto& [name, fault] : existing.broken) {
      if (name == arm && change.empty()) change = "it could not be read (" + fault + ")";
      is_new = is_new && name != arm;
    }
    const Golden* old = golden_of(existing.goldens, arm);
    if (old == nullptr) continue;
    is_new = false;
    if (change.empty()) change = what_changes(*old, now, arm);
    if (change.empty()) change = what_is_lost(*old, now, arm);
  }
  if (!change.empty() && reason.empty()) {
    throw InputError("arm " + now.name, "a golden that would change (" + change + ")",
                     "--reason TEXT, which says why it may");
  }
  std::string line = now.name;
  for (size_t i = 1; i < now.settings.size(); ++i) line += " = " + now.settings[i].first;
  if (!change.empty()) return line + ": " + change + " (" + reason + ")";
  return line + (is_new ? ": new" : ": unchanged");
}

std::vector<std::pair<std::string, std::string>> files_of(const CaseArm& arm, const Json& models) {
  std::vector<std::pair<std::string, std::string>> files;
  const auto model = models.find(Json::parse(arm.canonical).at("model").get<std::string>());
  if (model == models.end()) return files;
  for (const auto& [file, digest] : model->items()) files.emplace_back(file, digest);
  return files;
}

// An arm has one golden: what the new ones hold leaves the old ones that stay.
void take_out_of_others(const fs::path& folder, const std::string& case_name,
                        const std::vector<Golden>& now, std::vector<Golden> existing) {
  for (Golden& old : existing) {
    if (golden_of(now, old.name) != nullptr) continue;  // it is gone itself
    const size_t moved = std::erase_if(
        old.settings, [&](const auto& held) { return golden_of(now, held.first) != nullptr; });
    if (moved > 0) write_golden(folder, case_name, old);
  }
}

}  // namespace

std::vector<std::string> bless(const fs::path& golden_folder, const Case& c,
                               const std::vector<ArmRecording>& recordings,
                               const Provenance& provenance) {
  for (const Verdict& verdict : judge_case(c, recordings)) {
    if (!verdict.holds) throw InputError("case " + c.name, verdict.text(), "relations that hold");
  }
  if (groups_of(c).empty()) {
    throw InputError("case " + c.name, "no arm whose kernels promise their bits",
                     "one (runs of other programs are compared, or recorded arms of a case)");
  }
  const Existing existing = read_existing(golden_folder, c.name);
  std::vector<Golden> goldens;
  std::vector<std::string> lines;
  for (const CaseArm& arm : c.arms) {
    if (is_contracted(arm)) continue;
    lines.push_back(
        arm.name + ": not blessed, " +
        (arm.is_program() ? "it is another program" : "plain LibTorch kernels promise no bits"));
  }
  for (const std::vector<const CaseArm*>& group : groups_of(c)) {
    Golden golden;
    golden.name = group.front()->name;
    golden.platform = group.front()->numerics.platform;
    golden.steps = group.front()->steps;
    golden.observations = condense(recording_of(recordings, golden.name));
    golden.provenance = provenance;
    golden.files = files_of(*group.front(), provenance.models);
    for (const CaseArm* arm : group) {
      check_recording(*arm, recording_of(recordings, arm->name));
      golden.settings.emplace_back(arm->name, Json::parse(arm->canonical));
    }
    lines.push_back(line_of(golden, existing, provenance.reason));
    // Without a reason nothing has changed, and what the last change was for is still so.
    const Golden* old = golden_of(existing.goldens, golden.name);
    if (provenance.reason.empty() && old != nullptr) {
      golden.provenance.reason = old->provenance.reason;
    }
    goldens.push_back(std::move(golden));
  }
  for (const Golden& golden : goldens) write_golden(golden_folder, c.name, golden);
  take_out_of_others(golden_folder, c.name, goldens, existing.goldens);
  for (const Golden& golden : goldens) {  // of its own that an arm had before it was tied
    for (const auto& [arm, settings] : golden.settings) {
      if (arm != golden.name) remove_golden(golden_folder, c.name, arm);
    }
  }
  return lines;
}

}  // namespace samebits
