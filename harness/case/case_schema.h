#pragma once

#include "harness/base/json.h"

namespace samebits {

// The JSON schema (draft 7) of a case, which cases/case.schema.json publishes. The parser also
// checks what a schema cannot say: that relations name arms of the case, that no key stands twice.
Json case_schema();

}  // namespace samebits
