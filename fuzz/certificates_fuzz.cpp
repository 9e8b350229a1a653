// Any text is a file of certificates that is written again as one that reads the same, or an
// InputError.

#include "fuzz/property.h"
#include "harness/kernels/cuda/gemm/certificate_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return samebits::fuzz::reads_or_refuses(data, size, [](const std::string& text) {
    const samebits::Certificates read = samebits::parse_certificates(text, "certificates.json");
    const std::string again = samebits::text_from_certificates(read);
    samebits::fuzz::require(samebits::parse_certificates(again, "again") == read);
  });
}
