#pragma once

#include <string>
#include <vector>

namespace samebits {

// The instruction sets that the CPU kernels are written for. The choice changes speed, never a bit.
enum class Isa { portable, avx2, avx512 };

const char* name_of(Isa isa);

// What this processor can run, slowest first. `portable` is always there; avx2 means AVX2 and FMA,
// avx512 means the F, BW, DQ and VL parts.
const std::vector<Isa>& supported_isas();

// The instruction set that kernels use: the innermost IsaOverride, else the environment's
// SAMEBITS_CPU (portable, avx2 or avx512), else the best supported. Throws InputError if
// SAMEBITS_CPU names something unknown or unsupported.
Isa selected_isa();

// Makes selected_isa() return `isa` on this thread until the end of the scope; for tests and
// benchmarks that run several in one process. Kernels read it once, on the calling thread.
class IsaOverride {
 public:
  explicit IsaOverride(Isa isa);
  ~IsaOverride();
  IsaOverride(const IsaOverride&) = delete;
  IsaOverride& operator=(const IsaOverride&) = delete;

 private:
  const Isa* previous_;
  Isa isa_;
};

}  // namespace samebits
