#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// vllm#26199, #27432: a trace takes the branch of the size that it sees, and a consumer that drops
// guards serves it where the program would take the other one. Each program is of [s, 8] and asks
// one question about s; `guards` is what its consumer does with the answer.

// The sum of all elements where s is even, their mean where it is not. Traced at 6.
Subject sum_or_mean(GuardPolicy guards);

// The negated last row: of one row there is none to pick. Traced at 1.
Subject last_row(GuardPolicy guards);

// Plus the first s rows of a table: of the short one, 4 rows, where they are enough. Traced at 4.
Subject plus_table(GuardPolicy guards);

Repro guard_dropped_after_specialise();

}  // namespace samebits
