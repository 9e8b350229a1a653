// Any bytes as a safetensors file: a reader that returns views inside the file, or InputError.

#include <cstdint>
#include <cstdlib>
#include <span>

#include "harness/core/error.h"
#include "harness/core/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const samebits::SafetensorsFile file(bytes, "fuzz.safetensors");
    unsigned sum = 0;
    for (const samebits::TensorView& view : file.tensors()) {
      for (const std::byte byte : view.data) sum += std::to_integer<unsigned>(byte);
      if (file.find(view.name) != &view) std::abort();
    }
    volatile unsigned sink = sum;  // the bytes must be readable, so they must be read
    (void)sink;
  } catch (const samebits::InputError&) {
  }
  return 0;
}
