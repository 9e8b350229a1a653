#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/tokenizer/tokenizer.h"
#include "harness/tokenizer/tokenizer_file.h"
#include "tests/support/source_path.h"

namespace samebits {

// The folder of tests/oracle/tokenizer; record.py there says what the files hold.
inline std::string oracle_path(const std::string& name) {
  return source_path("tests/oracle/tokenizer/") + name;
}

inline Json oracle_json(const std::string& name) {
  return parse_json(read_text_file(oracle_path(name)), name);
}

inline Tokenizer tokenizer_from_json(const Json& json) {
  const std::string text = json.dump();
  return Tokenizer(read_tokenizer({text, "tokenizer.json"}, std::nullopt));
}

// small.json changed by a JSON merge patch.
inline Json patched_small(const Json& patch) {
  Json json = oracle_json("small.json");
  json.merge_patch(patch);
  return json;
}

}  // namespace samebits
