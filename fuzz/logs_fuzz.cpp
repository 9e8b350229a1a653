// Any bytes are a log or an InputError, for every reader: the first byte chooses it, "a" the first
// of the registry. The one behind the last is an event under checksums that are right, which no
// fuzzer would find. What was read is in order, and each site of it has a precision.

#include "fuzz/property.h"
#include "harness/logs/readers.h"
#include "tests/logs/event_file.h"

namespace {

constexpr char kPattern[] = R"(s(?<step>\d+) (?<a>\S+)(?: (?<b>\S+))?)";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return samebits::fuzz::reads_or_refuses(data, size, [](const std::string& text) {
    if (text.empty()) return;
    const auto& formats = samebits::log_formats();
    const size_t index = static_cast<unsigned char>(text[0] - 'a') % (formats.size() + 1);
    const bool is_event = index == formats.size();
    samebits::LogSettings settings;
    settings.format = is_event ? "tensorboard" : formats[index].name;
    if (settings.format == "text") settings.pattern = kPattern;
    std::string bytes = text.substr(1);
    if (is_event) bytes = samebits::testing::record(bytes);
    const samebits::Log log = samebits::read_log({bytes, "fuzz.log", settings});
    const samebits::Observation* before = nullptr;
    for (const samebits::Observation& each : log.stream.observations) {
      samebits::fuzz::require(log.source.precision.contains(each.site));
      samebits::fuzz::require(before == nullptr || before->step < each.step ||
                              (before->step == each.step && before->site < each.site));
      before = &each;
    }
    samebits::fuzz::require(before != nullptr);
  });
}
