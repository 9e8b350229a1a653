// Any text is a case that survives being written and read again, or an InputError.

#include "fuzz/property.h"
#include "harness/case/case.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return samebits::fuzz::reads_or_refuses(data, size, [](const std::string& text) {
    const samebits::Case c = samebits::parse_case(text, "fuzz.json");
    const std::string canonical = samebits::canonical_json(c);
    const samebits::Case again = samebits::parse_case(canonical, "fuzz.json");
    samebits::fuzz::require(samebits::canonical_json(again) == canonical);
  });
}
