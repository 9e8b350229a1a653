#pragma once

#include <string>

#include "harness/workload/settings.h"

namespace samebits {

// Adds the measurements of generator_bench.cpp over an arm's model, in its dtype, on its mesh and
// device, in every mode. They are called `generator/NAME/MODE/...`; NAME is returned: that of the
// model's folder, and "-tp2" and the like above TP 1.
std::string add_generator_benchmarks(const ArmSettings& arm);

}  // namespace samebits
