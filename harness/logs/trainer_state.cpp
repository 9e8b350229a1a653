#include <algorithm>
#include <charconv>

#include "harness/base/error.h"
#include "harness/logs/json_row.h"
#include "harness/logs/log_text.h"
#include "harness/logs/readers.h"

namespace samebits {
namespace {

constexpr std::string_view kHistory = "log_history[";

}  // namespace

// Every entry of log_history is a row. The last one, of the whole training, has the step of the one
// before and other keys.
Log read_trainer_state(const LogInput& input) {
  LogBuilder log(input.file, input.settings, "log_history, entry");
  check_encoding(input.bytes, input.file);
  const std::vector<JsonLeaf> leaves = json_leaves(input.bytes, input.file);
  std::string step_name;
  std::vector<JsonLeaf> row;
  size_t entry = 0;
  for (size_t i = 0; i <= leaves.size(); ++i) {
    size_t of = entry;
    size_t key = 0;
    if (i < leaves.size()) {
      const std::string& path = leaves[i].path;
      if (!path.starts_with(kHistory)) continue;
      const char* digits = path.data() + kHistory.size();
      const char* end = std::from_chars(digits, path.data() + path.size(), of).ptr;
      key = static_cast<size_t>(end - path.data()) + 2;  // behind "]."
      if (key >= path.size()) {
        throw InputError(input.file + ": log_history", "a value", "objects");
      }
    }
    if (!row.empty() && (of != entry || i == leaves.size())) {
      add_row(log, row, step_name, entry);
      row.clear();
    }
    if (i == leaves.size()) break;
    entry = of;
    row.push_back(leaves[i]);
    row.back().path = leaves[i].path.substr(key);
  }
  return log.finish("trainer_state");
}

}  // namespace samebits
