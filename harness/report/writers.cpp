#include "harness/report/writers.h"

#include "harness/base/error.h"

namespace samebits {

std::string title_of(const ReportRecord& record) {
  return record.case_name + (record.is_complete ? "" : " (cut off: the run has no manifest)");
}

std::string report_in_format(const ReportRecord& record, const RecordedRun& run,
                             const std::string& format) {
  if (format == "console") return console_report(record);
  if (format == "md") return markdown_report(record);
  if (format == "json") return json_report(record);
  if (format == "junit") return junit_report(record);
  if (format == "html") return html_report(record, pictures_of(run, record));
  if (format == "trace") return trace_report(record, run);
  throw InputError("--format", quoted(format),
                   JsonReader::one_of_text(
                       {"console", "md", "json", "junit", "html", "trace", "tensorboard"}, format));
}

}  // namespace samebits
