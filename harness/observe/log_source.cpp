#include "harness/observe/log_source.h"

#include <algorithm>

#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/base/names.h"
#include "harness/observe/run_files.h"

namespace samebits {
namespace {

const Names<Precision::Kind>& names_of(Precision::Kind) {
  static const Names<Precision::Kind> names = {{"printed", Precision::Kind::kPrinted},
                                               {"whole", Precision::Kind::kWhole},
                                               {"float32", Precision::Kind::kFloat32},
                                               {"float64", Precision::Kind::kFloat64},
                                               {"bits", Precision::Kind::kBits}};
  return names;
}

std::string count_text(int count, const char* word) {
  return std::to_string(count) + " " + word + (count == 1 ? "" : "s");
}

Json json_from_precision(const Precision& precision) {
  Json json = {{"kind", name_in(names_of(precision.kind), precision.kind)}};
  if (precision.kind != Precision::Kind::kPrinted) return json;
  json["decimals"] = precision.decimals;
  json["digits"] = precision.digits;
  json["uniform"] = precision.is_uniform;
  return json;
}

Precision precision_from_json(const JsonReader& json) {
  constexpr int kMost = 2000;  // beyond what a double needs
  json.object({"kind", "decimals", "digits", "uniform"});
  Precision precision;
  precision.kind = json.required("kind").one_of(names_of(precision.kind));
  if (precision.kind != Precision::Kind::kPrinted) return precision;
  precision.decimals = static_cast<int>(json.required("decimals").integer(0, kMost));
  precision.digits = static_cast<int>(json.required("digits").integer(0, kMost));
  precision.is_uniform = json.required("uniform").boolean();
  return precision;
}

}  // namespace

std::string Precision::text() const {
  switch (kind) {
    case Kind::kWhole:
      return "as whole numbers";
    case Kind::kFloat32:
      return "to the bit of float32";
    case Kind::kFloat64:
      return "to the bit of float64";
    case Kind::kBits:
      return "to the bit";
    case Kind::kPrinted:
      break;
  }
  if (is_uniform) return "to " + count_text(decimals, "decimal");
  return "to at most " + count_text(decimals, "decimal") + " and " + count_text(digits, "digit");
}

Precision coarser(const Precision& a, const Precision& b) {
  if (a.kind != b.kind) return a.kind < b.kind ? a : b;
  Precision both = a;
  both.decimals = std::min(a.decimals, b.decimals);
  both.digits = std::min(a.digits, b.digits);
  both.is_uniform = a.is_uniform && b.is_uniform;
  return both;
}

std::optional<LogSource> read_log_source(const std::filesystem::path& arm_folder) {
  const std::filesystem::path file = arm_folder / run_files::kLog;
  if (!std::filesystem::exists(file)) return std::nullopt;
  const Json parsed = read_json_file(file);
  const JsonReader json(parsed, file.string());
  json.object({"file", "format", "pattern", "drops", "precision", "unread"});
  LogSource source;
  source.file = json.required("file").string();
  source.format = json.required("format").name();
  source.pattern = json.required("pattern").string();
  source.drops = json.required("drops").string();
  const JsonReader precision = json.required("precision");
  for (const std::string& site : precision.keys()) {
    source.precision[site] = precision_from_json(precision.required(site));
  }
  for (const JsonReader& name : json.required("unread").array()) {
    source.unread.push_back(name.string());
  }
  return source;
}

void write_log_source(const std::filesystem::path& arm_folder, const LogSource& source) {
  Json precision = Json::object();
  for (const auto& [site, each] : source.precision) precision[site] = json_from_precision(each);
  const Json json = {{"file", source.file},       {"format", source.format},
                     {"pattern", source.pattern}, {"drops", source.drops},
                     {"precision", precision},    {"unread", source.unread}};
  write_text_file((arm_folder / run_files::kLog).string(), json.dump(2) + "\n");
}

}  // namespace samebits
