#include "harness/kernels/cpu/isa.h"

#include <cstdlib>

#include "harness/base/error.h"

namespace samebits {
namespace {

thread_local const Isa* innermost_override = nullptr;

std::vector<Isa> detect() {
  std::vector<Isa> found{Isa::portable};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    found.push_back(Isa::avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      found.push_back(Isa::avx512);
    }
  }
#endif
  return found;
}

Isa from_environment() {
  const char* wanted = std::getenv("SAMEBITS_CPU");
  const std::vector<Isa>& isas = supported_isas();
  if (wanted == nullptr || *wanted == '\0') return isas.back();
  std::string names;
  for (Isa isa : isas) {
    if (wanted == std::string(name_of(isa))) return isa;
    names += (names.empty() ? "" : ", ") + std::string(name_of(isa));
  }
  throw InputError("environment variable SAMEBITS_CPU", "'" + std::string(wanted) + "'",
                   "one that this processor supports: " + names);
}

}  // namespace

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::portable:
      return "portable";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "?";
}

const std::vector<Isa>& supported_isas() {
  static const std::vector<Isa> isas = detect();
  return isas;
}

Isa selected_isa() {
  if (innermost_override != nullptr) return *innermost_override;
  static const Isa isa = from_environment();  // a throw leaves it unset: the next call throws too
  return isa;
}

IsaOverride::IsaOverride(Isa isa) : previous_(innermost_override), isa_(isa) {
  innermost_override = &isa_;
}

IsaOverride::~IsaOverride() { innermost_override = previous_; }

}  // namespace samebits
