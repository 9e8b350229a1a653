#include <algorithm>

#include "harness/case/case_write.h"
#include "harness/report/record_parts.h"

namespace samebits {
namespace {

int64_t count_of(const std::vector<PlantedFault>& planted, FaultOutcome outcome) {
  return std::count_if(planted.begin(), planted.end(),
                       [&](const PlantedFault& each) { return each.outcome == outcome; });
}

}  // namespace

PlantedCounts planted_counts(const std::vector<PlantedFault>& planted) {
  PlantedCounts counts;
  counts.planted = static_cast<int64_t>(planted.size());
  counts.executed = counts.planted - count_of(planted, FaultOutcome::kNotExecuted);
  counts.caught = count_of(planted, FaultOutcome::kCaught);
  counts.exact = std::count_if(planted.begin(), planted.end(),
                               [](const PlantedFault& each) { return each.is_exact; });
  counts.no_effect = count_of(planted, FaultOutcome::kNoEffect);
  counts.escaped = count_of(planted, FaultOutcome::kEscaped);
  counts.false_alarms = std::count_if(planted.begin(), planted.end(), [](const PlantedFault& each) {
    return !each.false_alarm.empty();
  });
  return counts;
}

std::string planted_text(const std::vector<PlantedFault>& planted) {
  const PlantedCounts counts = planted_counts(planted);
  return std::to_string(counts.planted) + " faults planted: " + std::to_string(counts.executed) +
         " executed, " + std::to_string(counts.caught) + " caught, " +
         std::to_string(counts.exact) + " localised to the exact operator, " +
         std::to_string(counts.no_effect) + " without effect, " + std::to_string(counts.escaped) +
         " escaped; " + std::to_string(counts.false_alarms) + " false alarms in " +
         std::to_string(counts.planted) + " runs without a fault";
}

std::string fault_text(const Fault& fault) {
  return to_string(fault.kind) + " of " + fault.op + ", step " + std::to_string(fault.step) + ", " +
         fault.phase + ", call " + std::to_string(fault.call);
}

std::string command_of_fault(const PlantedFault& planted) {
  return "--set " + planted.arm + ".plant='" + json_from_fault(planted.fault).dump() + "'";
}

std::vector<ReportRecord::Failure> failures_of_planted(const std::vector<PlantedFault>& planted) {
  constexpr size_t kMost = 5;
  ReportRecord::Failure escaped;
  ReportRecord::Failure alarms;
  for (const PlantedFault& each : planted) {
    const std::string fault = each.arm + ": " + fault_text(each.fault);
    if (each.outcome == FaultOutcome::kEscaped && escaped.next.size() < kMost) {
      escaped.facts.emplace_back("escaped", fault + ": " + each.text);
      escaped.next.push_back("samebits run CASE " + command_of_fault(each));
    }
    if (!each.false_alarm.empty() && alarms.facts.size() < kMost) {
      alarms.facts.emplace_back("after", fault + ": " + each.false_alarm);
    }
  }
  const PlantedCounts counts = planted_counts(planted);
  const std::string of = " of " + std::to_string(counts.planted);
  std::vector<ReportRecord::Failure> failures;
  if (counts.escaped > 0) {
    escaped.title = std::to_string(counts.escaped) + of + " planted faults escaped the verdict";
    failures.push_back(std::move(escaped));
  }
  if (counts.false_alarms > 0) {
    alarms.title = std::to_string(counts.false_alarms) + of + " runs without a fault failed";
    failures.push_back(std::move(alarms));
  }
  return failures;
}

}  // namespace samebits
