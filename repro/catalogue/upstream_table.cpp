#include "repro/catalogue/upstream_table.h"

#include <algorithm>
#include <optional>
#include <sstream>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/report/markdown.h"
#include "harness/report/table.h"

namespace samebits {
namespace {

Table empty_upstream_table() {
  return {{{"repro"}, {"torch"}, {"state"}, {"evidence"}}, /*rows=*/{}};
}

// The cells of "| a | b |", with `\|` read as `|`.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::string cell;
  for (size_t i = 1; i < line.size(); ++i) {
    if (line[i] == '|') {
      const bool has_spaces = cell.size() >= 2 && cell.front() == ' ' && cell.back() == ' ';
      cells.push_back(has_spaces ? cell.substr(1, cell.size() - 2) : cell);
      cell.clear();
    } else {
      if (line.compare(i, 2, "\\|") == 0) ++i;
      cell += line[i];
    }
  }
  return cells;
}

std::optional<UpstreamRow> row_from_line(const std::string& line) {
  const std::vector<std::string> cells = cells_of(line);
  if (cells.size() != 4) return std::nullopt;
  const std::string& code = cells[3];
  const bool is_code = code.size() >= 2 && code.front() == '`' && code.back() == '`';
  const auto& states = upstream_states();
  if (!is_code || std::find(states.begin(), states.end(), cells[2]) == states.end()) {
    return std::nullopt;
  }
  return UpstreamRow{cells[0], {cells[1], cells[2], code.substr(1, code.size() - 2)}};
}

}  // namespace

std::string upstream_table(const std::vector<UpstreamRow>& rows) {
  Table table = empty_upstream_table();
  for (const auto& [repro, state] : rows) {
    const std::string evidence = state.evidence.empty() ? "``" : markdown_code(state.evidence);
    table.rows.push_back({repro, markdown_text(state.torch), state.state, evidence});
  }
  return table.markdown(Table::Cells::kMarkdown);
}

std::vector<UpstreamRow> read_upstream_table(const std::filesystem::path& file) {
  const std::string text = read_text_file(file.string());
  const std::string head = empty_upstream_table().markdown(Table::Cells::kMarkdown);
  const size_t begin = text.find(head);
  if (begin == std::string::npos) {
    throw InputError(file.string(), "no table of states", "what `samebits repro upstream` prints");
  }
  const size_t end_of_head = begin + head.size();
  auto number =
      1 + std::count(text.begin(), text.begin() + static_cast<int64_t>(end_of_head), '\n');
  std::istringstream rest(text.substr(end_of_head));
  std::vector<UpstreamRow> rows;
  for (std::string line; std::getline(rest, line) && line.starts_with('|'); ++number) {
    const auto row = row_from_line(line);
    if (!row) {
      throw InputError(file.string() + ":" + std::to_string(number), quoted(line),
                       "| repro | torch | state | `evidence` |, the state " +
                           JsonReader::one_of_text(upstream_states(), ""));
    }
    rows.push_back(*row);
  }
  return rows;
}

std::vector<UpstreamState> states_of(const std::string& repro,
                                     const std::vector<UpstreamRow>& rows) {
  std::vector<UpstreamState> states;
  for (const UpstreamRow& row : rows) {
    if (row.repro == repro) states.push_back(row.state);
  }
  return states;
}

}  // namespace samebits
