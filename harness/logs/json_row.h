#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/logs/log_builder.h"
#include "harness/logs/number.h"

namespace samebits {

// A value of a JSON document, however deep it lies.
struct JsonLeaf {
  enum class Kind { kNumber, kHugeNumber, kOther };  // huge: none that a double can hold
  std::string path;                                  // "actor.loss", "rewards[2]"
  Kind kind = Kind::kOther;
  LogNumber number;
  std::string text = {};  // of a text: the text
};

// Every value of the document but null, in its order. NaN, Infinity and -Infinity, which Python
// writes, are numbers, and so are texts that say so. `where` stands before the place in errors.
// Throws InputError where the text is no JSON.
std::vector<JsonLeaf> json_leaves(std::string_view text, const std::string& where);

// A row of a log: the leaf at `step_name` is the step, the others are sites. An empty name is
// chosen from this row.
void add_row(LogBuilder& log, const std::vector<JsonLeaf>& leaves, std::string& step_name,
             size_t place);

}  // namespace samebits
