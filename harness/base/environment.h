#pragma once

#include <string>
#include <utility>
#include <vector>

namespace samebits {

// Where a run happened: samebits's version and commit, compiler and flags, operating system,
// processor and its instruction sets, cores. In a fixed order, without clock, host name or address.
std::vector<std::pair<std::string, std::string>> environment_report();

// What the first processor can do, as Linux names it ("avx2 avx512f"); "" where it does not tell.
std::string processor_flags();

// "samebits 0.1.0, commit 86edb40, LibTorch 2.11.0".
std::string version_text();

}  // namespace samebits
