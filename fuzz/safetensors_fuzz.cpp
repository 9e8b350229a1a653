// Any bytes as a safetensors file: a reader that returns views inside the file, or an InputError.

#include <span>

#include "fuzz/property.h"
#include "harness/bits/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return samebits::fuzz::reads_or_refuses(data, size, [](const std::string& text) {
    const samebits::SafetensorsFile file(std::as_bytes(std::span(text)), "fuzz.safetensors");
    unsigned sum = 0;
    for (const samebits::TensorView& view : file.tensors()) {
      for (const std::byte byte : view.data) sum += std::to_integer<unsigned>(byte);
      samebits::fuzz::require(file.find(view.name) == &view);
    }
    volatile unsigned sink = sum;  // the bytes must be readable, so they must be read
    (void)sink;
  });
}
