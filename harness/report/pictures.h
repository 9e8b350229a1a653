#pragma once

#include <string>
#include <vector>

#include "harness/compare/call_graph.h"
#include "harness/compare/kept_tensors.h"
#include "harness/report/record.h"
#include "harness/report/spread.h"

namespace samebits {

// What a page shows beside the record: pictures made of the streams, of bounded size.
struct Pictures {
  struct Spread {
    OperatorSpread between;
    bool is_closer_look = false;  // of arms that were run again at level `op`
    bool is_control = false;      // the arms were to diverge
  };
  std::vector<Spread> spreads;     // of pairs that differ, what fails first
  std::vector<std::string> equal;  // "eager and piecewise": pairs with nothing to show
  std::vector<KeptTensors> kept;
  std::vector<CallGraph> calls;
};

// From a run's recordings, and from the closer looks in its folder. Throws InputError where files
// of those are broken.
Pictures pictures_of(const RecordedRun& run, const ReportRecord& record);

}  // namespace samebits
