#include <algorithm>
#include <set>

#include "harness/base/error.h"
#include "harness/logs/log_text.h"
#include "harness/logs/readers.h"

namespace samebits {
namespace {

// The cells of a line. In quotes a separator is text and "" is a quote; a line does not end there.
void split(std::string_view line, char separator, const std::string& where,
           std::vector<std::string>& cells) {
  cells.clear();
  cells.emplace_back();
  bool is_quoted = false;
  for (size_t at = 0; at < line.size(); ++at) {
    const char c = line[at];
    if (is_quoted && c == '"' && line.substr(at).starts_with("\"\"")) {
      cells.back() += line[++at];
    } else if (c == '"' && (is_quoted || cells.back().empty())) {
      is_quoted = !is_quoted;
    } else if (c == separator && !is_quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  if (is_quoted) throw InputError(where, "a quote without its end", "one in the same line");
}

// A number may stand among spaces, as in "1, 0.5".
std::string_view without_margins(std::string_view cell) {
  const size_t begin = std::min(cell.find_first_not_of(' '), cell.size());
  return cell.substr(begin, cell.find_last_not_of(' ') + 1 - begin);
}

struct Column {
  size_t site = 0;
  bool is_step = false;
  bool has_name = true;  // pandas writes the numbers of rows without one
};

std::vector<Column> columns_of(LogBuilder& log, const std::vector<std::string>& header) {
  const std::string step = log.choose_step(header, 1);
  std::vector<Column> columns;
  std::set<std::string> seen;
  for (const std::string& name : header) {
    Column column;
    column.is_step = name == step;
    column.has_name = !name.empty();
    if (column.has_name && !seen.insert(name).second) {
      throw InputError(log.where(1), "two columns " + quoted(name), "every name once");
    }
    if (column.has_name && !column.is_step) column.site = log.site(name, 1);
    columns.push_back(column);
  }
  return columns;
}

}  // namespace

Log read_csv(const LogInput& input) {
  LogBuilder log(input.file, input.settings);
  check_encoding(input.bytes, input.file);
  LineCursor lines(input.bytes);
  std::string_view line;
  if (!lines.next(line)) throw InputError(input.file, "an empty file", "a header and rows");
  const char separator = line.find('\t') != std::string_view::npos ? '\t' : ',';
  std::vector<std::string> cells;
  split(line, separator, log.where(1), cells);
  const std::vector<Column> columns = columns_of(log, cells);
  while (lines.next(line)) {
    const size_t number = lines.number();
    if (line.empty()) continue;
    split(line, separator, log.where(number), cells);
    if (cells.size() != columns.size() || !lines.has_end()) {
      throw InputError(log.where(number),
                       std::to_string(cells.size()) + " cells" +
                           (lines.has_end() ? "" : " and no end of the line (cut off?)"),
                       "the " + std::to_string(columns.size()) + " of the header, and a newline");
    }
    int64_t step = 0;
    for (size_t i = 0; i < cells.size(); ++i) {
      if (!columns[i].is_step) continue;
      step = log.step(number_from_text(without_margins(cells[i])), cells[i], number);
    }
    for (size_t i = 0; i < cells.size(); ++i) {
      if (columns[i].is_step || !columns[i].has_name || cells[i].empty()) continue;
      log.add_printed(step, columns[i].site, without_margins(cells[i]), number);
    }
  }
  return log.finish("csv");
}

}  // namespace samebits
