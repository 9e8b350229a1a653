#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// torchtitan#2393: a reshape with -1 in place of a symbolic size accepts the padding rows of
// prim_to_local_symbolic_ceil, and turns its crash into a longer output.
Repro minus_one_reshape_hides_rows();

}  // namespace samebits
