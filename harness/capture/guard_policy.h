#pragma once

#include "harness/base/names.h"

namespace samebits {

// What a guard that turns false does. kKeep: the program is traced again for the new sizes, and
// both graphs stay, found by their guards. kDrop: the symbolic shapes are trusted and the first
// graph runs, as vLLM's integration does; the ledger says what that ignored.
enum class GuardPolicy { kKeep, kDrop };

inline const Names<GuardPolicy>& names_of(GuardPolicy) {
  static const Names<GuardPolicy> names = {{"keep", GuardPolicy::kKeep},
                                           {"drop", GuardPolicy::kDrop}};
  return names;
}

}  // namespace samebits
