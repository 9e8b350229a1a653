// Any text is a case or an InputError, and a case survives being written and read again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "harness/core/case.h"
#include "harness/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const samebits::Case c = samebits::parse_case(text, "fuzz.json");
    const std::string canonical = samebits::canonical_json(c);
    if (samebits::canonical_json(samebits::parse_case(canonical, "fuzz.json")) != canonical) {
      std::abort();
    }
  } catch (const samebits::InputError& error) {
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
