#pragma once

#include <string>
#include <vector>

#include "harness/report/record.h"

// One writer per format. They lay out what the record says and compute nothing.
namespace samebits {

std::string console_report(const ReportRecord& record);   // readable in 120 columns
std::string markdown_report(const ReportRecord& record);  // as it is into a pull request
std::string json_report(const ReportRecord& record);
std::string junit_report(const ReportRecord& record);  // one test case a relation, witness, golden

// By name: "console", "md", "json", "junit". Throws InputError for another.
std::string report_in_format(const ReportRecord& record, const std::string& format);

}  // namespace samebits
