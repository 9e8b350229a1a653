#include <algorithm>
#include <span>

#include "harness/report/tables.h"
#include "harness/report/writers.h"

namespace samebits {
namespace {

constexpr size_t kWidth = 100;     // of a line of prose
constexpr size_t kLongest = 4000;  // sentence

void add_section(std::string& text, const Table& table) {
  if (!table.rows.empty()) text += table.console() + "\n";
}

// Words in lines of at most kWidth columns; those after the first begin with `indent` spaces.
// What a run that others recorded says is made printable, and given an end.
std::string wrapped(const std::string& from, size_t indent) {
  const std::string prose = shortened(from, kLongest);
  std::string text;
  size_t column = indent;
  size_t begin = 0;
  while (begin < prose.size()) {
    const size_t end = std::min(prose.find(' ', begin), prose.size());
    const std::string word = prose.substr(begin, end - begin);
    const bool is_first = text.empty();
    if (!is_first && column + 1 + display_width(word) > kWidth) {
      text += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!is_first) {
      text += ' ';
      ++column;
    }
    text += word;
    column += display_width(word);
    begin = end + 1;
  }
  return text;
}

// Whether a later block ends with all that this one would.
bool is_next_covered(const ReportRecord::Failure& failure,
                     std::span<const ReportRecord::Failure> later) {
  return std::any_of(later.begin(), later.end(), [&](const ReportRecord::Failure& other) {
    return std::all_of(failure.next.begin(), failure.next.end(), [&](const std::string& command) {
      return std::find(other.next.begin(), other.next.end(), command) != other.next.end();
    });
  });
}

// `is_last`: no failure that follows has the same to be done next.
void add_failure(std::string& text, const ReportRecord::Failure& failure, bool is_last) {
  constexpr size_t kLabel = 12;
  const auto add_line = [&](const std::string& key, const std::string& value) {
    const std::string label = printable(key);
    const size_t width = display_width(label);
    const size_t spaces = width + 4 > kLabel ? 2 : kLabel - 2 - width;
    text += "  " + label + std::string(spaces, ' ') + value + "\n";
  };
  text += "\n" + wrapped(failure.title, 0) + "\n";
  for (const auto& [key, value] : failure.facts) add_line(key, wrapped(value, kLabel));
  for (size_t i = 0; is_last && i < failure.next.size(); ++i) {
    add_line(i == 0 ? "next" : "", shortened(failure.next[i], kLongest));
  }
}

}  // namespace

std::string console_details(const ReportRecord& record) {
  std::string text;
  add_section(text, setup_table(record));
  add_section(text, step_table(record));
  add_section(text, on_policy_table(record));
  add_section(text, time_table(record));
  add_section(text, looking_table(record));
  add_section(text, fair_time_table(record));
  if (!record.load.empty()) text += record.load + "\n\n";
  for (const std::string& spot : record.blind_spots) text += wrapped(spot, 0) + "\n";
  for (const std::string& each : record.unexercised) text += wrapped(each, 0) + "\n";
  if (!record.blind_spots.empty() || !record.unexercised.empty()) text += '\n';
  add_section(text, memory_table(record));
  add_section(text, witness_table(record));
  add_section(text, planted_detail_table(record));
  add_section(text, guard_table(record));
  add_section(text, golden_table(record));
  add_section(text, environment_table(record));
  return text;
}

std::string console_summary(const ReportRecord& record) {
  std::string text = printable(title_of(record)) + "\n" + wrapped(record.headline, 0) + "\n";
  Table relations = relation_table(record);
  relations.columns.resize(4);  // reasons are sentences: the report has them
  for (std::vector<std::string>& row : relations.rows) row.resize(4);
  if (!relations.rows.empty()) text += "\n" + relations.console();
  if (!record.planted.empty()) text += "\n" + planted_table(record).console();
  for (auto failure = record.failures.begin(); failure != record.failures.end(); ++failure) {
    add_failure(text, *failure, !is_next_covered(*failure, {failure + 1, record.failures.end()}));
  }
  return text;
}

std::string console_report(const ReportRecord& record) {
  return console_details(record) + console_summary(record);
}

}  // namespace samebits
