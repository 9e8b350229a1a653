#include "harness/compare/sources.h"

#include "harness/observe/recorder_file.h"

namespace samebits {

std::string sources_of(const std::filesystem::path& folder_a, const std::filesystem::path& folder_b,
                       const Divergence& divergence) {
  const auto own_name = [&](const std::optional<Observation>& seen) {
    return seen ? seen->site : divergence.site;
  };
  std::string a = source_of(folder_a, divergence.rank, own_name(divergence.a));
  const std::string b = source_of(folder_b, divergence.rank, own_name(divergence.b));
  if (b.empty() || a == b) return a;
  return a.empty() ? b : a + "; of the second " + b;
}

}  // namespace samebits
