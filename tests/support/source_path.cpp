#include "tests/support/source_path.h"

namespace samebits {

std::string source_path(std::string_view file) {
  return std::string(SAMEBITS_SOURCE_DIR "/").append(file);
}

}  // namespace samebits
