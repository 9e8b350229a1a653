#include "harness/logs/event_file.h"

#include <bit>

#include "harness/logs/crc32c.h"
#include "harness/logs/wire.h"

// The fields are those that tensorboard.cpp reads; an Event also has its wall time (1, double) and,
// the first of a file, a version (3, text).
namespace samebits {
namespace {

template <class Word>
std::string little_endian(Word word) {
  std::string bytes(sizeof word, '\0');
  for (size_t i = 0; i < sizeof word; ++i) bytes[i] = static_cast<char>(word >> 8 * i & 255);
  return bytes;
}

std::string record_of(std::string_view event) {
  const std::string length = little_endian<uint64_t>(event.size());
  return length + little_endian(masked_crc32c(length)) + std::string(event) +
         little_endian(masked_crc32c(event));
}

}  // namespace

std::string version_record() {
  WireWriter event;
  event.fixed64(1, std::bit_cast<uint64_t>(0.0));
  event.bytes(3, "brain.Event:2");
  return record_of(event.message());
}

std::string scalar_record(std::string_view tag, int64_t step, float value, double seconds) {
  WireWriter number;
  number.bytes(1, tag);
  number.fixed32(2, std::bit_cast<uint32_t>(value));
  WireWriter summary;
  summary.bytes(1, number.message());
  WireWriter event;
  event.fixed64(1, std::bit_cast<uint64_t>(seconds));
  event.varint(2, static_cast<uint64_t>(step));
  event.bytes(5, summary.message());
  return record_of(event.message());
}

}  // namespace samebits
