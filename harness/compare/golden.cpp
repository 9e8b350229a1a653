#include "harness/compare/golden.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "harness/compare/verdict.h"
#include "harness/core/error.h"
#include "harness/core/file.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFormat = 1;
const std::vector<int64_t> kEmpty = {0};  // the shape of a completion without a token

fs::path stream_file(const fs::path& folder, const std::string& c, const std::string& arm) {
  return folder / c / (arm + ".jsonl");
}
fs::path provenance_file(const fs::path& folder, const std::string& c, const std::string& arm) {
  return folder / c / (arm + ".json");
}

struct Golden {
  std::vector<Observation> observations;
  int64_t steps = 0;
  Json settings;
};

Digest digest_of_digests(const std::vector<Digest>& digests) {
  std::string text;
  for (const Digest& each : digests) text += each.hex();
  const int64_t shape[] = {static_cast<int64_t>(digests.size()), 32};
  return digest_of(Dtype::uint8, shape, text.data());
}

// Reads a golden; nullopt where there is none. `arm` says what platform is at hand.
std::optional<Golden> read_golden(const fs::path& folder, const Case& c, const Arm& arm) {
  const fs::path file = provenance_file(folder, c.name, arm.name);
  if (!fs::exists(file)) return std::nullopt;
  const Json parsed = read_json_file(file);
  const JsonReader json(parsed, file.string());
  const std::string made_by = " (made by: " + json.required("command").string() + ")";
  const JsonReader format = json.required("format");
  if (format.integer() != kFormat) {
    format.fail("version " + format.shown() + made_by, "version " + std::to_string(kFormat));
  }
  json.object({"format", "case", "arm", "platform", "seed", "steps", "settings_digest",
               "stream_digest", "command", "reason", "environment", "settings"});
  const JsonReader platform = json.required("platform");
  if (platform.string() != arm.numerics.platform) {
    platform.fail(platform.shown() + made_by, quoted(arm.numerics.platform));
  }
  Golden golden;
  golden.steps = json.required("steps").integer(1);
  golden.settings = json.required("settings").value();

  const fs::path stream = stream_file(folder, c.name, arm.name);
  StreamContents contents = read_stream(stream);
  if (contents.torn_bytes > 0) {
    throw InputError(stream.string() + ": byte " + std::to_string(contents.whole_bytes),
                     "an unfinished line", "a whole golden");
  }
  golden.observations = std::move(contents.observations);
  std::vector<Digest> digests;
  for (const Observation& each : golden.observations) digests.push_back(each.digest);
  const JsonReader digest = json.required("stream_digest");
  if (digest.string() != digest_of_digests(digests).hex()) {
    digest.fail("the digest of another stream" + made_by, "the digest of " + stream.string());
  }
  return golden;
}

// What decides an arm's bits, without how long it runs.
Json deciding(const Json& settings) { return Json::parse(deciding_settings(settings.dump())); }

// The first key at which two settings differ: "workload.optimizer.lr".
std::string first_different_key(const Json& a, const Json& b, const std::string& path = "") {
  if (!a.is_object() || !b.is_object()) return path;
  for (const auto& [key, value] : a.items()) {
    std::string inner = path.empty() ? key : path + "." + key;
    if (!b.contains(key)) return inner;
    if (b.at(key) != value) return first_different_key(value, b.at(key), inner);
  }
  for (const auto& [key, value] : b.items()) {
    if (!a.contains(key)) return path.empty() ? key : path + "." + key;
  }
  return "";
}

std::vector<Observation> first_steps(std::vector<Observation> observations, int64_t steps) {
  std::erase_if(observations, [&](const Observation& each) { return each.step >= steps; });
  return observations;
}

Relation bit_exact_relation() { return Relation{{}, Holds::kBitExact, 0, 0, 0, ""}; }

// The blessing of one arm, decided before anything is written.
struct Blessing {
  std::string arm;
  std::string stream;
  std::string provenance;
  std::string line;
};

std::string what_changed(const Golden& old, const Json& settings,
                         const std::vector<Observation>& observations) {
  const Json before = deciding(old.settings);
  const Json now = deciding(settings);
  std::string text;
  if (before != now) text = "settings changed at " + first_different_key(before, now);
  const PairComparison comparison =
      compare_streams(old.observations, observations, bit_exact_relation());
  if (comparison.first) {
    if (!text.empty()) text += "; ";
    text += "first changed: " + comparison.first->text();
  }
  return text;
}

Blessing prepare(const fs::path& folder, const Case& c, const Arm& arm,
                 const ArmRecording& recording, const Provenance& provenance) {
  const std::string where = "arm " + arm.name;
  if (!recording.finished) throw InputError(where, "a run that was cut off", "a finished one");
  for (const StreamContents& rank : recording.ranks) {
    const std::string reason = degeneracy(rank.observations);
    if (!reason.empty()) throw InputError(where, reason, "a stream that can show a difference");
  }
  const std::vector<Observation> observations = condense(recording);

  const Json settings = Json::parse(arm.canonical);
  Blessing blessing{arm.name, "", "", arm.name + ": new"};
  if (const auto old = read_golden(folder, c, arm)) {
    const std::string change = what_changed(*old, settings, observations);
    if (!change.empty() && provenance.reason.empty()) {
      throw InputError(where, "a golden that would change (" + change + ")",
                       "--reason TEXT, which says why it may");
    }
    blessing.line = arm.name + (change.empty() ? ": unchanged" : ": " + change);
    if (!change.empty()) blessing.line += " (" + provenance.reason + ")";
  }

  std::vector<Digest> digests;
  for (const Observation& each : observations) {
    blessing.stream += line_from_observation(each) + "\n";
    digests.push_back(each.digest);
  }
  Json environment = Json::object();
  for (const auto& [key, value] : provenance.environment) environment[key] = value;
  const Json json = {{"format", kFormat},
                     {"case", c.name},
                     {"arm", arm.name},
                     {"platform", arm.numerics.platform},
                     {"seed", arm.seed},
                     {"steps", arm.steps},
                     {"settings_digest", settings_digest(arm)},
                     {"stream_digest", digest_of_digests(digests).hex()},
                     {"command", provenance.command},
                     {"reason", provenance.reason},
                     {"environment", std::move(environment)},
                     {"settings", settings}};
  blessing.provenance = json.dump(2) + "\n";
  return blessing;
}

const ArmRecording& recording_of(const std::vector<ArmRecording>& recordings,
                                 const std::string& arm) {
  for (const ArmRecording& recording : recordings) {
    if (recording.arm == arm) return recording;
  }
  throw InputError("arm " + arm, "no recorded stream", "a run of it");
}

}  // namespace

std::vector<Observation> condense(const ArmRecording& recording) {
  std::vector<Observation> condensed;
  for (const StreamContents& rank : recording.ranks) {
    std::vector<Digest> run;  // what the last of `condensed` folds, where that is a fold
    const auto seal = [&] {
      if (!run.empty()) condensed.back().digest = digest_of_digests(run);
      run.clear();
    };
    for (const Observation& each : rank.observations) {
      if (is_operator_site(each.site)) continue;
      const std::string kind = site_kind(each.site);
      const bool is_indexed = kind != each.site;
      const bool goes_on = !run.empty() && is_indexed && condensed.back().site == kind + "[*]" &&
                           condensed.back().step == each.step &&
                           condensed.back().phase == each.phase;
      if (!goes_on) {
        seal();
        condensed.push_back(each);
        if (!is_indexed) continue;
        condensed.back() = {each.step,    each.phase, each.rank, kind + "[*]",
                            Dtype::uint8, {},         {},        {}};
      }
      run.push_back(each.digest);
      condensed.back().shape = {static_cast<int64_t>(run.size()), 32};
    }
    seal();
  }
  return condensed;
}

std::string degeneracy(const std::vector<Observation>& observations) {
  if (observations.empty()) return "no observation at all";
  std::set<std::string> losses;
  int64_t loss_count = 0;
  std::map<int64_t, bool> has_text;  // of a step that has completions: is one not empty?
  for (const Observation& each : observations) {
    const std::string place = " at step " + std::to_string(each.step) + ", " + each.phase;
    if (each.bits && !std::isfinite(scalar_value(each))) {
      return each.site + " is " + scalar_text(each) + place;
    }
    if (each.site == "grad_norm" && scalar_value(each) == 0) return "a gradient norm of 0" + place;
    if (each.site == "loss") {
      ++loss_count;
      losses.insert(scalar_text(each));
    }
    if (site_kind(each.site) == "completion") has_text[each.step] |= each.shape != kEmpty;
  }
  for (const auto& [step, has] : has_text) {
    if (!has) return "only empty completions at step " + std::to_string(step);
  }
  if (loss_count > 1 && losses.size() == 1) {
    return "the same loss, " + *losses.begin() + ", at all " + std::to_string(loss_count) +
           " steps";
  }
  return "";
}

GoldenCheck check_golden(const fs::path& golden_folder, const Case& c, const Arm& arm,
                         const ArmRecording& recording) {
  GoldenCheck check{arm.name, GoldenCheck::Status::kAbsent, "no golden"};
  const auto golden = read_golden(golden_folder, c, arm);
  if (!golden) return check;
  const Json blessed = deciding(golden->settings);
  const Json run = deciding(Json::parse(arm.canonical));
  if (blessed != run) {
    check.status = GoldenCheck::Status::kOtherSettings;
    check.text =
        "not compared: other settings than the golden's at " + first_different_key(blessed, run);
    return check;
  }
  const int64_t steps = std::min(golden->steps, arm.steps);
  const PairComparison comparison =
      compare_streams(first_steps(golden->observations, steps),
                      first_steps(condense(recording), steps), bit_exact_relation());
  const bool is_equal = comparison.agrees();
  check.status = is_equal ? GoldenCheck::Status::kEqual : GoldenCheck::Status::kDifferent;
  if (is_equal) {
    check.text = "equal to the golden over " + std::to_string(steps) + " steps";
  } else if (comparison.first) {
    check.text = "golden against run: " + comparison.first->text();
  } else {
    check.text = "golden and run have no observation in common";
  }
  return check;
}

std::vector<std::string> bless(const fs::path& golden_folder, const Case& c,
                               const std::vector<ArmRecording>& recordings,
                               const Provenance& provenance) {
  for (const Verdict& verdict : judge_case(c, recordings)) {
    if (!verdict.holds) throw InputError("case " + c.name, verdict.text(), "relations that hold");
  }
  std::vector<Blessing> blessings;
  std::vector<std::string> lines;
  for (const Arm& arm : c.arms) {
    if (!arm.numerics.batch_invariant) {
      lines.push_back(arm.name + ": not blessed, plain LibTorch kernels promise no bits");
      continue;
    }
    blessings.push_back(
        prepare(golden_folder, c, arm, recording_of(recordings, arm.name), provenance));
  }
  fs::create_directories(golden_folder / c.name);
  for (const Blessing& blessing : blessings) {
    write_text_file(stream_file(golden_folder, c.name, blessing.arm).string(), blessing.stream);
    write_text_file(provenance_file(golden_folder, c.name, blessing.arm).string(),
                    blessing.provenance);
    lines.push_back(blessing.line);
  }
  return lines;
}

Json json_from_golden_check(const GoldenCheck& check) {
  static const char* const kNames[] = {"equal", "different", "absent", "other_settings"};
  return {
      {"arm", check.arm}, {"status", kNames[static_cast<int>(check.status)]}, {"text", check.text}};
}

}  // namespace samebits
