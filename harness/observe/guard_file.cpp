#include "harness/observe/guard_file.h"

#include "harness/base/file.h"

namespace samebits {

Json json_from_guards(const std::vector<GuardRecord>& guards) {
  Json json = Json::array();
  for (const GuardRecord& record : guards) {
    Json false_at = Json::array();
    for (const GuardRecord::FalseAt& each : record.false_at) {
      false_at.push_back({{"sizes", each.sizes}, {"times", each.times}, {"served", each.served}});
    }
    json.push_back({{"guard", record.guard},
                    {"asked_at", record.asked_at},
                    {"checked", record.checked},
                    {"false_at", std::move(false_at)}});
  }
  return json;
}

std::vector<GuardRecord> guards_from_json(const Json& json, const std::string& where) {
  std::vector<GuardRecord> guards;
  for (const JsonReader& each : JsonReader(json, where).array()) {
    each.object({"guard", "asked_at", "checked", "false_at"});
    GuardRecord record{each.required("guard").string(),
                       each.required("asked_at").string(),
                       each.required("checked").integer(0),
                       {}};
    for (const JsonReader& at : each.required("false_at").array()) {
      at.object({"sizes", "times", "served"});
      auto& each = record.false_at.emplace_back();
      each.sizes = at.required("sizes").string();
      each.times = at.required("times").integer(1);
      if (auto served = at.optional("served")) each.served = served->integer(0);
    }
    guards.push_back(std::move(record));
  }
  return guards;
}

void write_guards(const std::filesystem::path& file, const std::vector<GuardRecord>& guards) {
  write_text_file(file.string(), json_from_guards(guards).dump(2) + "\n");
}

std::vector<GuardRecord> read_guards(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return {};
  return guards_from_json(read_json_file(file), file.string());
}

}  // namespace samebits
