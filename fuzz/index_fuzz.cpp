// Any text is a weight index whose files lie in its own folder, or an InputError.

#include <filesystem>

#include "fuzz/property.h"
#include "fuzz/scratch_folder.h"
#include "harness/base/file.h"
#include "harness/folder/model_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return samebits::fuzz::reads_or_refuses(data, size, [](const std::string& text) {
    const std::filesystem::path folder = samebits::fuzz::scratch_folder();
    samebits::write_text_file((folder / "model.safetensors.index.json").string(), text);
    const auto files = samebits::weight_files(folder);
    samebits::fuzz::require(!files.empty());
    for (const std::filesystem::path& file : files) {
      samebits::fuzz::require(file.parent_path() == folder && file.filename() != "..");
    }
  });
}
