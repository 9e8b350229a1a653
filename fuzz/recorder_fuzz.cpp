// Any text is a recorder.json of format 1, or an InputError; and the same text as a sites-0.json
// has the line of a site, or none, or is an InputError.

#include "fuzz/property.h"
#include "fuzz/scratch_folder.h"
#include "harness/base/file.h"
#include "harness/observe/recorder_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::filesystem::path folder = samebits::fuzz::scratch_folder();
  samebits::fuzz::reads_or_refuses(data, size, [&](const std::string& text) {
    samebits::write_text_file((folder / "recorder.json").string(), text);
    samebits::fuzz::require(samebits::has_recorder(folder));
  });
  return samebits::fuzz::reads_or_refuses(data, size, [&](const std::string& text) {
    samebits::write_text_file((folder / "sites-0.json").string(), text);
    samebits::source_of(folder, 0, "m/aten.mm[0]#0");
  });
}
