#include "harness/observe/guard_file.h"

#include "harness/base/file.h"
#include "harness/base/json.h"

namespace samebits {

void write_guards(const std::filesystem::path& file, const std::vector<GuardRecord>& guards) {
  Json json = Json::array();
  for (const GuardRecord& record : guards) {
    Json false_at = Json::array();
    for (const GuardRecord::FalseAt& each : record.false_at) {
      false_at.push_back({{"sizes", each.sizes}, {"times", each.times}});
    }
    json.push_back({{"guard", record.guard},
                    {"asked_at", record.asked_at},
                    {"checked", record.checked},
                    {"false_at", std::move(false_at)}});
  }
  write_text_file(file.string(), json.dump(2) + "\n");
}

std::vector<GuardRecord> read_guards(const std::filesystem::path& file) {
  std::vector<GuardRecord> guards;
  if (!std::filesystem::exists(file)) return guards;
  const Json json = read_json_file(file);
  for (const JsonReader& each : JsonReader(json, file.string()).array()) {
    each.object({"guard", "asked_at", "checked", "false_at"});
    GuardRecord record{each.required("guard").string(),
                       each.required("asked_at").string(),
                       each.required("checked").integer(0),
                       {}};
    for (const JsonReader& at : each.required("false_at").array()) {
      at.object({"sizes", "times"});
      record.false_at.push_back({at.required("sizes").string(), at.required("times").integer(1)});
    }
    guards.push_back(std::move(record));
  }
  return guards;
}

}  // namespace samebits
