#include "harness/detect/detectors.h"

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/detect/findings.h"

namespace samebits {

const std::vector<Detector>& detectors() {
  static const std::vector<Detector> all{
      {"symbol_mismatch", "D1",
       "a traced size that is not the size at some other size than the hint, or a call that is not "
       "the program's",
       "values", symbol_mismatches},
      {"shard_difference", "D2",
       "an operator that gives on DTensors what it does not give on the gathered tensors: "
       "elements, sizes, strides, dtype",
       "an error of less than 1/64 in a pending sum of floating-point numbers, strides of shards, "
       "calls that an operator refuses, and programs that make no DTensor",
       shard_differences},
      {"stale_address", "D3",
       "memory that a graph holds by address and that moved, was replaced or was not written "
       "before "
       "any of its replays; a number of the host that it holds",
       "programs that take DTensors, or that may not be captured at all", moved_addresses},
      {"pool_overlap", "D4",
       "an output that is read after other graphs of its pool have run, and whose memory one of "
       "them "
       "got; a replay that another order of replays changes",
       "programs that take DTensors, or that may not be captured at all", overlapping_outputs},
      {"row_dependence", "D5",
       "a row of the result whose bits depend on how many rows come after it",
       "what only longer sequences or other batches show, and programs whose rows are mixed",
       rows_that_depend_on_others},
      {"undeclared_order", "D6",
       "a sum over ranks whose bits are not those of the order that it declares, at some length of "
       "the message or some place in it",
       "sums over two ranks, which have one order", undeclared_orders},
      {"padding_leak", "D7",
       "a result that depends on what rows of padding or slots that nobody maps hold, and a write "
       "to "
       "such a slot",
       "programs that say nothing of padding, and padding that does no harm by its values",
       padding_that_leaks},
      {"false_guard", "D8", "a guard that is false at a size which its graph serves",
       "a branch on a plain integer, which leaves no guard", false_guards},
      {"uncapturable", "D9",
       "what cannot be captured: a value read on the host, a size that depends on data, an "
       "operator without a rule",
       "what only a replay shows", uncapturable},
      {"boundary_change", "D10",
       "an operator that hands its argument on as another type, dtype or placement, or fails on a "
       "plain, empty, viewed or distributed one; the first operator that takes other numbers than "
       "in the "
       "reference, where there is one",
       "operators that compute, without a reference, and those whose job it is to lead on or off a "
       "mesh",
       boundary_changes},
      {"copies_apart", "D11",
       "a value that every rank of a mesh is to hold and whose copies differ between ranks, the "
       "gradients of a training step included",
       "programs that make no DTensor, and a value that is wrong on all ranks alike", copies_apart},
      {"registry_gap", "registry",
       "an operator that the program calls without kernel, shape rule, sharding strategy or "
       "declared alias, or whose shape rule is wrong",
       "a strategy that is wrong, and a missing one of an operator that met no DTensor",
       registry_gaps},
  };
  return all;
}

const Detector& find_detector(const std::string& name) {
  std::vector<std::string> names;
  for (const Detector& each : detectors()) {
    if (each.name == name || each.number == name) return each;
    names.push_back(each.name);
  }
  throw InputError("detector", quoted(name), JsonReader::one_of_text(names, name));
}

}  // namespace samebits
