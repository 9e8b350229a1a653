// A JSON merge patch on a small golden, a zero byte, and its stream, or nothing for the one it has.
// The golden is written again as one that reads the same, or it is an InputError. Settings that the
// patch changes get their digest, since random bytes never have it.

#include <algorithm>

#include "fuzz/property.h"
#include "fuzz/scratch_folder.h"
#include "harness/base/file.h"
#include "harness/case/case.h"
#include "harness/compare/golden_file.h"

namespace {

using samebits::Json;

constexpr char kCase[] = "c";

std::string file_named(const char* name) {
  return (samebits::fuzz::scratch_folder() / kCase / name).string();
}

// The provenance of a golden of one arm and one loss; its stream is left in the folder.
Json make_base() {
  const samebits::Case c = samebits::parse_case(
      R"({"name": "c", "model": "m", "arms": {"a": {}, "b": {"mesh": {"tp": 2}}}})", "c.json");
  samebits::Golden golden;
  golden.name = "g";
  golden.platform = "sm90";
  golden.steps = 1;
  for (const samebits::CaseArm& arm : c.arms) {
    golden.settings.emplace_back(arm.name, Json::parse(arm.canonical));
  }
  golden.observations = {samebits::observe_float32(0, "train", 0, "loss", 0.5F)};
  golden.provenance = {"samebits run c.json", "", {{"cores", "2"}}};
  samebits::write_golden(samebits::fuzz::scratch_folder(), kCase, golden);
  return samebits::read_json_file(file_named("g.json"));
}

void vouch_for_settings(Json& golden) {
  if (!golden.is_object() || !golden.contains("settings")) return;
  golden["settings_digest"] = samebits::digest_of_settings(golden["settings"].dump());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  samebits::make_folder(samebits::fuzz::scratch_folder() / kCase);
  static const Json base = make_base();
  static const std::string stream = samebits::read_text_file(file_named("g.jsonl"));
  return samebits::fuzz::reads_or_refuses(data, size, [&](const std::string& input) {
    const std::string patch = input.substr(0, input.find('\0'));
    const std::string other = input.substr(std::min(patch.size() + 1, input.size()));
    Json json = base;
    json.merge_patch(samebits::parse_json(patch, "patch"));
    vouch_for_settings(json);
    const std::filesystem::path folder = samebits::fuzz::scratch_folder();
    samebits::write_text_file(file_named("g.json"), json.dump());
    samebits::write_text_file(file_named("g.jsonl"), other.empty() ? stream : other);
    samebits::write_golden(folder, kCase, samebits::read_golden(folder, kCase, "g"));
    const std::string written = samebits::read_text_file(file_named("g.json"));
    samebits::write_golden(folder, kCase, samebits::read_golden(folder, kCase, "g"));
    samebits::fuzz::require(samebits::read_text_file(file_named("g.json")) == written);
  });
}
