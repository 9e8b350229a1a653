#pragma once

#include "harness/report/record.h"
#include "harness/report/table.h"

// The tables that console and Markdown share.
namespace samebits {

Table step_table(const ReportRecord& record);
Table loss_table(const ReportRecord& record);  // of several arms; no rows where there is one
// The curves of losses that differ, as bars; no rows where all arms have the same.
Table loss_curve_table(const ReportRecord& record);
Table relation_table(const ReportRecord& record);
Table time_table(const ReportRecord& record);
Table looking_table(const ReportRecord& record);  // what observing cost; no rows where nobody tells
Table on_policy_table(const ReportRecord& record);  // of the arms that roll out and train
Table memory_table(const ReportRecord& record);     // no rows where nothing was measured
Table sample_table(const ReportRecord& record);     // no rows where no arm generates text
Table setup_table(const ReportRecord& record);      // model, workload, numerics, device
Table pace_table(const ReportRecord& record);  // no rows where no arm has two steps after its first
Table fair_time_table(const ReportRecord& record);  // no rows where no arm ran for the clock
// What became of the faults that were planted, by their kind and by their arm; no rows where none
// was.
Table planted_table(const ReportRecord& record);
Table planted_arm_table(const ReportRecord& record);
// Those that need a word: not executed, without effect, not localised to the operator, escaped.
Table planted_detail_table(const ReportRecord& record);
Table witness_table(const ReportRecord& record);  // no rows where no arm counts anything
Table guard_table(const ReportRecord& record);    // no rows where no graph has a guard
Table golden_table(const ReportRecord& record);
Table environment_table(const ReportRecord& record);

// What looking_table() shows.
inline constexpr char kMeaningOfLooking[] =
    "What observing took of a step: the middle and the range of the steps from the second on, its "
    "share of the wall clock of the steps, and the most memory that it held at once. No phase has "
    "any of it, but for the digests inside of replayed graphs at level op.";

// What fair_time_table() shows.
inline constexpr char kMeaningOfFairTimes[] =
    "All arms again for the clock alone, in rounds that each begin with another arm, the first "
    "step "
    "of each left out: the median step of a round, and the range over the rounds. A factor is to "
    "the first arm, round by round; one whose interval holds 1 is no significant change.";

// What planted_table() shows.
inline constexpr char kMeaningOfPlanted[] =
    "Faults planted on purpose, each in a run of its arm of its own that was judged as this run "
    "was. "
    "Exact: the cause that was named is the very call that was changed. No effect: every value "
    "that "
    "the steps observe, and what they leave behind, is that of the run without it. A false alarm "
    "is "
    "one of the run of the same arm without a fault that follows each.";

}  // namespace samebits
