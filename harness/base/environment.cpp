#include "harness/base/environment.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

#include "harness/base/build_info.h"

namespace samebits {
namespace {

// The value after the first ": " or "=" of the first line that starts with `key`, unquoted.
std::string value_in(const char* file, const std::string& key) {
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with(key)) continue;
    size_t at = line.find_first_of(":=");
    if (at == std::string::npos) continue;
    at = line.find_first_not_of(": =\"\t", at);
    if (at == std::string::npos) return "";
    std::string value = line.substr(at);
    if (value.ends_with('"')) value.pop_back();
    return value;
  }
  return "unknown";
}

// The instruction sets that kernels are chosen by, of those that the processor has.
std::string instruction_sets() {
  std::string found;
  const auto add = [&](const char* name, bool has) {
    if (!has) return;
    if (!found.empty()) found += ' ';
    found += name;
  };
#if defined(__x86_64__)
  add("avx2", __builtin_cpu_supports("avx2"));
  add("fma", __builtin_cpu_supports("fma"));
  add("avx512f", __builtin_cpu_supports("avx512f"));
  add("avx512bw", __builtin_cpu_supports("avx512bw"));
  add("avx512dq", __builtin_cpu_supports("avx512dq"));
  add("avx512vl", __builtin_cpu_supports("avx512vl"));
#endif
  return found.empty() ? "none beyond the baseline" : found;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> environment_report() {
  utsname system{};
  uname(&system);
  return {
      {"samebits", std::string(build_info::kVersion) + ", commit " + build_info::kCommit},
      {"compiler", build_info::kCompiler},
      {"build", build_info::kBuild},
      {"LibTorch", build_info::kLibTorch},
      {"system", value_in("/etc/os-release", "PRETTY_NAME") + ", " + system.sysname + " " +
                     system.release + " " + system.machine},
      {"processor", value_in("/proc/cpuinfo", "model name")},
      {"instruction sets", instruction_sets()},
      {"cores", std::to_string(sysconf(_SC_NPROCESSORS_ONLN))},
  };
}

std::string processor_flags() { return value_in("/proc/cpuinfo", "flags"); }

std::string version_text() {
  return std::string("samebits ") + build_info::kVersion + ", commit " + build_info::kCommit +
         ", LibTorch " + build_info::kLibTorch;
}

}  // namespace samebits
