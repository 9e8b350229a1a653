// Any text is a manifest that is written again as one that reads the same, or an InputError.

#include "fuzz/property.h"
#include "fuzz/scratch_folder.h"
#include "harness/base/file.h"
#include "harness/observe/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return samebits::fuzz::reads_or_refuses(data, size, [](const std::string& text) {
    const std::filesystem::path folder = samebits::fuzz::scratch_folder();
    const std::string file = (folder / "manifest.json").string();
    samebits::write_text_file(file, text);
    const auto manifest = samebits::read_manifest(folder);
    samebits::fuzz::require(manifest.has_value());
    samebits::write_manifest(folder, *manifest);
    const std::string written = samebits::read_text_file(file);
    samebits::write_manifest(folder, *samebits::read_manifest(folder));
    samebits::fuzz::require(samebits::read_text_file(file) == written);
  });
}
