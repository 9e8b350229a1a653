// Any text is a list of lists of token ids below the vocabulary's size, or an InputError.

#include "fuzz/property.h"
#include "harness/workload/token_ids.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return samebits::fuzz::reads_or_refuses(data, size, [](const std::string& text) {
    for (const auto& sequence : samebits::parse_token_ids(text, "ids.json", 1003)) {
      samebits::fuzz::require(!sequence.empty());
      for (const int64_t id : sequence) samebits::fuzz::require(0 <= id && id < 1003);
    }
  });
}
