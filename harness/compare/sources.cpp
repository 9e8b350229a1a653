#include "harness/compare/sources.h"

#include "harness/observe/recorder_file.h"

namespace samebits {

std::string sources_of(const std::filesystem::path& folder_a, const std::filesystem::path& folder_b,
                       const Divergence& divergence) {
  std::string a = source_of(folder_a, divergence.rank, divergence.site);
  const std::string b = source_of(folder_b, divergence.rank, divergence.site);
  if (b.empty() || a == b) return a;
  return a.empty() ? b : a + "; of the second " + b;
}

}  // namespace samebits
