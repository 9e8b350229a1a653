#pragma once

#include <string>

#include "harness/report/pictures.h"
#include "harness/report/record.h"

// One writer per format, a file each. They lay out what the record says and compute nothing.
namespace samebits {

// The last screen of a run: verdict, relations, and a block for each failure.
std::string console_summary(const ReportRecord& record);
std::string console_details(const ReportRecord& record);  // all tables
std::string console_report(const ReportRecord& record);   // both, the summary last
std::string markdown_report(const ReportRecord& record);  // as it is into a pull request
std::string json_report(const ReportRecord& record);
std::string junit_report(const ReportRecord& record);  // one test case a relation, arm, golden
// One page that needs nothing else and in which nothing runs.
std::string html_report(const ReportRecord& record, const Pictures& pictures);
// Phases and steps of every rank as spans, for Perfetto.
std::string trace_report(const ReportRecord& record, const RecordedRun& run);

// The scalars of each arm's steps as TensorBoard reads them: the bytes of an event file.
struct EventFile {
  std::string arm;
  std::string bytes;
};
std::vector<EventFile> tensorboard_files(const RecordedRun& run);

// The case, and whether its run was cut off.
std::string title_of(const ReportRecord& record);

// By name: "console", "md", "json", "junit", "html", "trace". Throws InputError for another.
// `run`: of which the record is.
std::string report_in_format(const ReportRecord& record, const RecordedRun& run,
                             const std::string& format);

}  // namespace samebits
