#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "harness/logs/crc32c.h"

// TensorBoard's event files as SummaryWriter writes them, field by field.
namespace samebits::testing {

inline std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>((value & 127) | 128);
  return bytes + static_cast<char>(value);
}

template <class Word>
std::string fixed(Word value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::string field(uint64_t number, const std::string& bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
}
inline std::string number_field(uint64_t number, uint64_t value) {
  return varint(number << 3) + varint(value);
}
inline std::string float_field(uint64_t number, float value) {
  return varint(number << 3 | 5) + fixed(value);
}

inline std::string record(const std::string& event) {
  const std::string length = fixed<uint64_t>(event.size());
  return length + fixed(masked_crc32c(length)) + event + fixed(masked_crc32c(event));
}

// wall_time, step (left out where 0), and a summary with this value.
inline std::string event(uint64_t step, const std::string& value) {
  return record(varint(1 << 3 | 1) + fixed(1.7e9) + (step == 0 ? "" : number_field(2, step)) +
                field(5, field(1, value)));
}

inline std::string scalar_event(uint64_t step, const std::string& tag, float value) {
  return event(step, field(1, tag) + float_field(2, value));
}

// As TensorFlow's writer has it: a tensor without dimensions.
inline std::string tensor_event(uint64_t step, const std::string& tag, float value) {
  return event(
      step, field(1, tag) + field(8, number_field(1, 1) + field(2, "") + field(4, fixed(value))));
}

inline std::string file_version() {
  return record(varint(1 << 3 | 1) + fixed(1.7e9) + field(3, "brain.Event:2"));
}

}  // namespace samebits::testing
