#pragma once

#include <string>
#include <vector>

#include "harness/report/record.h"

// The parts that record_from() puts together, a file each.
namespace samebits {

// The step table: values of the first arm, and what each relation says of each step.
// Needs the record's verdicts and arms.
void add_steps(ReportRecord& record, const std::vector<ArmRecording>& recordings);

// What an arm did: mode, evidence, times, witness.
ReportRecord::ArmRecord arm_record(const CaseArm& arm, const ArmRecording& recording);

// The median and the range of some numbers, at least one.
ReportRecord::Spread spread_of(std::vector<double> numbers);

// What the rounds say of each arm that ran for the clock, the case's first one first. On a card the
// clock on the wall counts, elsewhere processor time: a processor that waits has no part in it.
std::vector<ReportRecord::FairTime> fair_times_of(const Case& c,
                                                  const std::vector<TimedRun>& times);

// What became of faults that were planted, by outcome; `exact` is a part of `caught`.
struct PlantedCounts {
  int64_t planted = 0;
  int64_t executed = 0;
  int64_t caught = 0;
  int64_t exact = 0;
  int64_t no_effect = 0;
  int64_t escaped = 0;
  int64_t false_alarms = 0;  // in the runs without a fault that are paired with them
};
PlantedCounts planted_counts(const std::vector<PlantedFault>& planted);
std::string planted_text(const std::vector<PlantedFault>& planted);  // the same in one sentence
std::string fault_text(const Fault& fault);  // "flip of samebits::linear, step 1, train, call 12"
// The flag that plants this fault again, alone.
std::string command_of_fault(const PlantedFault& planted);
// One block for all that escaped, and one for false alarms; none where there are none.
std::vector<ReportRecord::Failure> failures_of_planted(const std::vector<PlantedFault>& planted);

// What the case of these recordings could have exercised and they did not, a sentence each.
std::vector<std::string> unexercised_by(const Case& c, const std::vector<ArmRecording>& recordings);

// Everything that failed, in the order in which a person should read it. Empty: the run holds.
// Needs the record's arms, verdicts and goldens.
std::vector<ReportRecord::Failure> failures_of(const ReportRecord& record, const RecordedRun& run);

// The verdict in one sentence, failures first.
std::string headline_of(const ReportRecord& record, const ArmRecording& first);

}  // namespace samebits
