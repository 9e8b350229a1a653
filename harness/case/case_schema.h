#pragma once

#include "harness/base/json.h"
#include "harness/base/names.h"

namespace samebits {

// The JSON schema (draft 7) of a case, which cases/case.schema.json publishes. The parser also
// checks what a schema cannot say: that relations name arms of the case, that no key stands twice.
Json case_schema();

// Of a value that is one of these words.
template <class T>
Json enum_schema(const Names<T>& names) {
  Json words = Json::array();
  for (const auto& [name, unused] : names) words.push_back(name);
  return {{"enum", words}};
}

}  // namespace samebits
