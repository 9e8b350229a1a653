// Any text is the records of an arm's steps, each of which is written again as a line that reads
// the same, or an InputError.

#include "fuzz/property.h"
#include "fuzz/scratch_folder.h"
#include "harness/base/file.h"
#include "harness/observe/step_record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return samebits::fuzz::reads_or_refuses(data, size, [](const std::string& text) {
    const std::filesystem::path file = samebits::fuzz::scratch_folder() / "steps.jsonl";
    samebits::write_text_file(file.string(), text);
    for (const samebits::StepRecord& record : samebits::read_step_records(file)) {
      const std::string line = samebits::line_from_step_record(record);
      const samebits::StepRecord again = samebits::step_record_from_line(line, "again");
      samebits::fuzz::require(samebits::line_from_step_record(again) == line);
    }
  });
}
