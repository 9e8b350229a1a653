#include "repro/detectors.h"

#include "repro/detect/findings.h"

namespace samebits {

const std::vector<Detector>& detectors() {
  static const std::vector<Detector> all{
      {"D1",
       "a traced size that is not the size at some other size than the hint, or a call that is not "
       "the program's",
       "values", symbol_mismatches},
      {"D3",
       "memory that a graph holds by address and that moved, was replaced or was not written "
       "before "
       "any of its replays",
       "programs that take DTensors, or that may not be captured at all", moved_addresses},
      {"D5", "a row of the result whose bits depend on how many rows come after it",
       "what only longer sequences or other batches show, and programs whose rows are mixed",
       rows_that_depend_on_others},
      {"D8", "a guard that is false at a size which its graph serves",
       "a branch on a plain integer, which leaves no guard", false_guards},
      {"D9",
       "what cannot be captured: a value read on the host, a size that depends on data, an "
       "operator without a rule",
       "what only a replay shows", uncapturable},
      {"D10",
       "an operator that hands its argument on as another type, dtype or placement, or fails on a "
       "plain, empty, viewed or distributed one",
       "operators that compute, and those whose job it is to lead on or off a mesh",
       boundary_changes},
      {"registry",
       "an operator that the program calls without kernel, shape rule, sharding strategy or "
       "declared alias, or whose shape rule is wrong",
       "a strategy that is wrong, and a missing one of an operator that met no DTensor",
       registry_gaps},
  };
  return all;
}

}  // namespace samebits
