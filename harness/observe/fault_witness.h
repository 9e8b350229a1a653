#pragma once

#include "harness/base/json.h"
#include "harness/plant/fault.h"

namespace samebits {

// A witness as the records of a step and of a run's planted faults write it. Raw bits are
// hexadecimal text. InputError for anything else.
Json json_from_witness(const FaultWitness& witness);
FaultWitness witness_from_json(const JsonReader& json);

}  // namespace samebits
