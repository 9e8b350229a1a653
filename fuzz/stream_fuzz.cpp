// Any bytes are a stream, a stream with a torn tail, or an InputError; what was read writes back to
// lines that read the same.

#include "fuzz/property.h"
#include "harness/observe/stream.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return samebits::fuzz::reads_or_refuses(data, size, [](const std::string& text) {
    const samebits::StreamContents contents = samebits::stream_from_text(text, "fuzz.jsonl");
    samebits::fuzz::require(contents.whole_bytes + contents.torn_bytes ==
                            static_cast<int64_t>(text.size()));
    for (const samebits::Observation& each : contents.observations) {
      const std::string line = samebits::line_from_observation(each);
      samebits::fuzz::require(samebits::observation_from_line(line, "again") == each);
    }
  });
}
