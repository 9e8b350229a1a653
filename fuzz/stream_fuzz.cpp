// Any bytes are a stream, a stream with a torn tail, or an InputError; what was read writes back to
// lines that read the same. The first byte chooses between streams and step records.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "harness/core/error.h"
#include "harness/observe/step_record.h"
#include "harness/observe/stream.h"

namespace {

void check_stream(const std::string& text) {
  const samebits::StreamContents contents = samebits::stream_from_text(text, "fuzz.jsonl");
  if (contents.whole_bytes + contents.torn_bytes != static_cast<int64_t>(text.size())) std::abort();
  for (const samebits::Observation& each : contents.observations) {
    const std::string line = samebits::line_from_observation(each);
    if (samebits::observation_from_line(line, "again") != each) std::abort();
  }
}

void check_step_record(const std::string& line) {
  const samebits::StepRecord record = samebits::step_record_from_line(line, "fuzz.jsonl");
  const std::string again = samebits::line_from_step_record(record);
  if (samebits::line_from_step_record(samebits::step_record_from_line(again, "again")) != again) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    if (data[0] == 's') {
      check_step_record(text);
    } else {
      check_stream(text);
    }
  } catch (const samebits::InputError& error) {
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
