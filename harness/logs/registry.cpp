#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/logs/readers.h"

namespace samebits {
namespace {

constexpr size_t kBegin = 4096;

}  // namespace

const std::vector<LogFormat>& log_formats() {
  const auto only_asked = [](std::string_view, std::string_view) { return false; };
  static const std::vector<LogFormat> formats = {
      {"tensorboard", [](std::string_view, std::string_view begin) { return is_event_file(begin); },
       read_tensorboard},
      {"safetensors",
       [](std::string_view name, std::string_view) { return name.ends_with(".safetensors"); },
       read_safetensors},
      {"npz", [](std::string_view name, std::string_view) { return name.ends_with(".npz"); },
       read_npz},
      {"completions",
       [](std::string_view name, std::string_view begin) {
         return (name.ends_with(".json") || name.ends_with(".jsonl")) &&
                begin.find("\"choices\"") != std::string_view::npos;
       },
       read_completions},
      {"trainer_state",
       [](std::string_view name, std::string_view) { return name.ends_with(".json"); },
       read_trainer_state},
      {"jsonl",
       [](std::string_view name, std::string_view begin) {
         return name.ends_with(".jsonl") || begin.starts_with('{');
       },
       read_json_lines},
      {"csv",
       [](std::string_view name, std::string_view) {
         return name.ends_with(".csv") || name.ends_with(".tsv");
       },
       read_csv},
      {"text", only_asked, read_text},
      {"torchtitan", only_asked, read_torchtitan},
      {"torchtitan_golden", only_asked, read_torchtitan_golden},
      {"megatron", only_asked, read_megatron},
      {"verl", only_asked, read_verl},
  };
  return formats;
}

Log read_log(const LogInput& input) {
  if (!input.settings.pattern.empty()) return read_text(input);
  const std::string name = input.file.substr(input.file.rfind('/') + 1);
  std::vector<std::string> names;
  for (const LogFormat& format : log_formats()) {
    names.push_back(format.name);
    const bool is_asked = input.settings.format.empty()
                              ? format.is_of(name, input.bytes.substr(0, kBegin))
                              : format.name == input.settings.format;
    if (is_asked) return format.read(input);
  }
  if (input.settings.format.empty()) {
    throw InputError(input.file, "no log of a known form", "its format, or a pattern of its lines");
  }
  throw InputError("format", quoted(input.settings.format),
                   JsonReader::one_of_text(names, input.settings.format));
}

}  // namespace samebits
