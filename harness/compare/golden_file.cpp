#include "harness/compare/golden_file.h"

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/case/case.h"
#include "harness/compare/condense.h"
#include "harness/observe/stream.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

fs::path stream_file(const fs::path& folder, const std::string& c, const std::string& name) {
  return folder / c / (name + ".jsonl");
}
fs::path provenance_file(const fs::path& folder, const std::string& c, const std::string& name) {
  return folder / c / (name + ".json");
}

std::string stream_digest(const std::vector<Observation>& observations) {
  std::vector<Digest> digests;
  for (const Observation& each : observations) digests.push_back(each.digest);
  return digest_of_digests(digests).hex();
}

// An arm's settings as they were blessed; edited ones would disarm the golden.
void add_settings(Golden& golden, const std::string& arm, const JsonReader& settings,
                  const JsonReader& digest, const std::string& made_by) {
  const std::string canonical = settings.value().dump();
  const std::string whole = with_defaults(canonical, settings.where());  // refuses what is none
  for (const char* key : {"numerics", "workload"}) settings.required(key);
  if (digest.string() != digest_of_settings(canonical)) {
    digest.fail("the digest of other settings" + made_by, "the digest of " + settings.where());
  }
  golden.settings.emplace_back(arm, Json::parse(whole));
}

void read_settings(Golden& golden, const JsonReader& json, const std::string& made_by) {
  json.object({"format", "case", "arm", "platform", "seed", "steps", "settings_digest",
               "stream_digest", "command", "reason", "environment", "files", "settings", "tied"});
  add_settings(golden, json.required("arm").string(), json.required("settings"),
               json.required("settings_digest"), made_by);
  const std::optional<JsonReader> tied = json.optional("tied");
  if (!tied) return;
  for (const std::string& arm : tied->keys()) {
    const JsonReader one = tied->required(arm).object({"settings_digest", "settings"});
    add_settings(golden, arm, one.required("settings"), one.required("settings_digest"), made_by);
  }
}

// Another arm would leave its own without a golden, and fewer steps the others uncompared.
void check_arm_and_steps(const Golden& golden, const JsonReader& json, const std::string& made_by) {
  const JsonReader arm = json.required("arm");
  if (arm.string() != golden.name) arm.fail(arm.shown() + made_by, quoted(golden.name));
  int64_t steps = 0;
  for (const Observation& each : golden.observations) steps = std::max(steps, each.step + 1);
  if (golden.steps == steps) return;
  json.required("steps").fail(std::to_string(golden.steps) + made_by,
                              std::to_string(steps) + ", as its stream has");
}

// Without its settings a stream would be passed over, and its arm not compared.
void check_streams(const fs::path& folder, const std::string& case_name) {
  const fs::path of_case = folder / case_name;
  if (!fs::exists(fs::symlink_status(of_case))) return;
  if (!fs::is_directory(of_case)) {
    throw InputError(of_case.string(), "no folder", "a folder of blessed streams, or nothing");
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder / case_name)) {
    if (entry.path().extension() != ".jsonl") continue;
    const std::string name = entry.path().stem().string();
    if (fs::exists(provenance_file(folder, case_name, name))) continue;
    throw InputError(entry.path().string(), "a stream alone",
                     name + ".json beside it; bless it again");
  }
}

// Of two goldens of an arm, one would be compared and the other passed over.
void check_each_arm_once(const fs::path& folder, const std::string& case_name,
                         const std::vector<Golden>& goldens) {
  for (const Golden& golden : goldens) {
    for (const auto& [arm, settings] : golden.settings) {
      const Golden* first = golden_of(goldens, arm);
      if (first == &golden) continue;
      throw InputError(provenance_file(folder, case_name, golden.name).string(),
                       "arm " + arm + ", which " + first->name + ".json holds too",
                       "an arm in one golden; bless it again");
    }
  }
}

}  // namespace

const Json* Golden::settings_of(const std::string& arm) const {
  for (const auto& [name, value] : settings) {
    if (name == arm) return &value;
  }
  return nullptr;
}

Golden read_golden(const fs::path& folder, const std::string& case_name, const std::string& name) {
  const fs::path file = provenance_file(folder, case_name, name);
  const Json parsed = read_json_file(file);
  const JsonReader json(parsed, file.string());
  Golden golden;
  golden.name = name;
  golden.file = file;
  golden.provenance.command = json.required("command").string();
  const std::string made_by = " (made by: " + golden.provenance.command + ")";
  const JsonReader format = json.required("format");
  if (format.integer() < 1 || format.integer() > Golden::kFormat) {
    format.fail("version " + format.shown() + made_by,
                "version " + std::to_string(Golden::kFormat) + " or an earlier one");
  }
  const JsonReader of = json.required("case");
  if (of.string() != case_name) of.fail(of.shown() + made_by, quoted(case_name));
  read_settings(golden, json, made_by);
  golden.platform = json.required("platform").string();
  golden.steps = json.required("steps").integer(1);
  golden.provenance.reason = json.required("reason").string();
  const JsonReader environment = json.required("environment");
  for (const std::string& key : environment.keys()) {
    golden.provenance.environment.emplace_back(key, environment.required(key).string());
  }

  if (const std::optional<JsonReader> files = json.optional("files")) {
    for (const std::string& key : files->keys()) {
      golden.files.emplace_back(key, files->required(key).string());
    }
  }

  const fs::path stream = stream_file(folder, case_name, name);
  StreamContents contents = read_stream(stream);
  if (contents.torn_bytes > 0) {
    throw InputError(stream.string() + ": byte " + std::to_string(contents.whole_bytes),
                     "an unfinished line", "a whole golden");
  }
  golden.observations = std::move(contents.observations);
  const JsonReader digest = json.required("stream_digest");
  if (digest.string() != stream_digest(golden.observations)) {
    digest.fail("the digest of another stream" + made_by, "the digest of " + stream.string());
  }
  check_arm_and_steps(golden, json, made_by);
  return golden;
}

std::vector<std::string> golden_names(const fs::path& folder, const std::string& case_name) {
  std::vector<std::string> names;
  if (!fs::is_directory(folder / case_name)) return names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder / case_name)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<Golden> read_goldens(const fs::path& folder, const std::string& case_name) {
  std::vector<Golden> goldens;
  check_streams(folder, case_name);
  for (const std::string& name : golden_names(folder, case_name)) {
    goldens.push_back(read_golden(folder, case_name, name));
  }
  check_each_arm_once(folder, case_name, goldens);
  return goldens;
}

const Golden* golden_of(const std::vector<Golden>& goldens, const std::string& arm) {
  for (const Golden& golden : goldens) {
    if (golden.settings_of(arm) != nullptr) return &golden;
  }
  return nullptr;
}

void write_golden(const fs::path& folder, const std::string& case_name, const Golden& golden) {
  std::string stream;
  for (const Observation& each : golden.observations) stream += line_from_observation(each) + "\n";
  Json environment = Json::object();
  for (const auto& [key, value] : golden.provenance.environment) environment[key] = value;
  Json files = Json::object();
  for (const auto& [file, digest] : golden.files) files[file] = digest;
  const auto& [first, first_settings] = golden.settings.front();
  Json tied = Json::object();
  for (const auto& [arm, settings] : golden.settings) {
    if (arm == first) continue;
    tied[arm] = {{"settings_digest", digest_of_settings(settings.dump())}, {"settings", settings}};
  }
  const Json json = {{"format", Golden::kFormat},
                     {"case", case_name},
                     {"arm", first},
                     {"platform", golden.platform},
                     {"steps", golden.steps},
                     {"settings_digest", digest_of_settings(first_settings.dump())},
                     {"stream_digest", stream_digest(golden.observations)},
                     {"command", golden.provenance.command},
                     {"reason", golden.provenance.reason},
                     {"environment", std::move(environment)},
                     {"files", std::move(files)},
                     {"settings", first_settings},
                     {"tied", std::move(tied)}};
  make_folder(folder);
  make_folder(folder / case_name);
  write_text_file(stream_file(folder, case_name, golden.name).string(), stream);
  write_text_file(provenance_file(folder, case_name, golden.name).string(), json.dump(2) + "\n");
}

void remove_golden(const fs::path& folder, const std::string& case_name, const std::string& name) {
  fs::remove(provenance_file(folder, case_name, name));
  fs::remove(stream_file(folder, case_name, name));
}

}  // namespace samebits
