#include "harness/base/error.h"
#include "harness/logs/json_row.h"
#include "harness/logs/log_text.h"
#include "harness/logs/readers.h"

namespace samebits {

Log read_json_lines(const LogInput& input) {
  LogBuilder log(input.file, input.settings);
  check_encoding(input.bytes, input.file);
  std::string step_name;
  LineCursor lines(input.bytes);
  for (std::string_view line; lines.next(line);) {
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    const std::vector<JsonLeaf> row = json_leaves(line, log.where(lines.number()));
    if (line.find_first_not_of(" \t") != line.find('{')) {
      throw InputError(log.where(lines.number()), "no object", "a JSON object a line");
    }
    add_row(log, row, step_name, lines.number());
  }
  return log.finish("jsonl");
}

}  // namespace samebits
