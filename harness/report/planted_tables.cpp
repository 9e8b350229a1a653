#include <functional>

#include "harness/report/record_parts.h"
#include "harness/report/tables.h"

namespace samebits {
namespace {

using NameOf = std::function<std::string(const PlantedFault&)>;

// Groups in the order in which they first occur, and all of them.
Table table_by(const std::string& title, const std::vector<PlantedFault>& planted,
               const NameOf& name_of) {
  Table table{{{title, false},
               {"planted", true},
               {"executed", true},
               {"caught", true},
               {"exact", true},
               {"no effect", true},
               {"escaped", true},
               {"false alarms", true}},
              {}};
  std::vector<std::pair<std::string, std::vector<PlantedFault>>> groups;
  for (const PlantedFault& each : planted) {
    const std::string name = name_of(each);
    size_t at = 0;
    while (at < groups.size() && groups[at].first != name) ++at;
    if (at == groups.size()) groups.emplace_back(name, std::vector<PlantedFault>());
    groups[at].second.push_back(each);
  }
  if (groups.size() > 1) groups.emplace_back("all", planted);
  for (const auto& [name, faults] : groups) {
    const PlantedCounts counts = planted_counts(faults);
    table.rows.push_back({name, std::to_string(counts.planted), std::to_string(counts.executed),
                          std::to_string(counts.caught), std::to_string(counts.exact),
                          std::to_string(counts.no_effect), std::to_string(counts.escaped),
                          std::to_string(counts.false_alarms)});
  }
  return table;
}

}  // namespace

Table planted_table(const ReportRecord& record) {
  return table_by("kind", record.planted,
                  [](const PlantedFault& each) { return to_string(each.fault.kind); });
}

Table planted_arm_table(const ReportRecord& record) {
  return table_by("arm", record.planted, [](const PlantedFault& each) { return each.arm; });
}

Table planted_detail_table(const ReportRecord& record) {
  Table table{
      {{"arm", false}, {"fault", false}, {"outcome", false}, {"why", false}, {"flag", false}}, {}};
  for (const PlantedFault& each : record.planted) {
    if (each.is_exact) continue;
    const bool is_caught = each.outcome == FaultOutcome::kCaught;
    table.rows.push_back({each.arm, fault_text(each.fault),
                          is_caught ? "caught, not exact" : to_string(each.outcome),
                          is_caught ? each.detail + " (" + each.named + ")" : each.text,
                          command_of_fault(each)});
  }
  return table;
}

}  // namespace samebits
