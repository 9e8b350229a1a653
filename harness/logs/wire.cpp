#include "harness/logs/wire.h"

#include <cstring>

#include "harness/base/error.h"

namespace samebits {

void WireReader::fail(const std::string& found, const std::string& expected) const {
  throw InputError(where_ + ": byte " + std::to_string(offset_ + at_), found, expected);
}

uint64_t WireReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    const auto byte = static_cast<unsigned char>(take(1).front());
    if (shift == 63 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 127) << shift;
    if (byte < 128) return value;
  }
  fail("a number of more than 64 bits", "a varint of protobuf");
}

std::string_view WireReader::take(uint64_t size) {
  if (size > message_.size() - at_) fail("the end of the message", "the rest of a field");
  const std::string_view taken = message_.substr(at_, size);
  at_ += size;
  return taken;
}

bool WireReader::next(Field& field) {
  if (at_ == message_.size()) return false;
  const uint64_t key = varint();
  const auto kind = static_cast<WireKind>(key & 7);
  field = {.number = key >> 3, .kind = kind, .value = 0, .bytes = {}, .offset = 0};
  const auto fixed = [&](size_t size) {
    std::memcpy(&field.value, take(size).data(), size);  // little-endian, as the file is
  };
  switch (kind) {
    case WireKind::kVarint:
      field.value = varint();
      return true;
    case WireKind::kFixed64:
      fixed(8);
      return true;
    case WireKind::kBytes: {
      const uint64_t size = varint();
      field.offset = offset_ + at_;
      field.bytes = take(size);
      return true;
    }
    case WireKind::kFixed32:
      fixed(4);
      return true;
    default:
      fail("a field of kind " + std::to_string(key & 7), "0, 1, 2 or 5");
  }
}

void WireReader::require(const Field& field, WireKind kind) const {
  if (field.kind == kind) return;
  const auto text = [](WireKind each) { return std::to_string(static_cast<int>(each)); };
  fail("field " + std::to_string(field.number) + " of kind " + text(field.kind), text(kind));
}

void WireWriter::raw_varint(uint64_t value) {
  for (; value >= 128; value >>= 7) message_ += static_cast<char>(value | 128);
  message_ += static_cast<char>(value);
}

void WireWriter::little_endian(uint64_t bits, int size) {
  for (int i = 0; i < size; ++i) message_ += static_cast<char>(bits >> 8 * i & 255);
}

void WireWriter::varint(uint64_t number, uint64_t value) {
  raw_varint(number << 3);
  raw_varint(value);
}

void WireWriter::fixed32(uint64_t number, uint32_t bits) {
  raw_varint(number << 3 | 5);
  little_endian(bits, 4);
}

void WireWriter::fixed64(uint64_t number, uint64_t bits) {
  raw_varint(number << 3 | 1);
  little_endian(bits, 8);
}

void WireWriter::bytes(uint64_t number, std::string_view bytes) {
  raw_varint(number << 3 | 2);
  raw_varint(bytes.size());
  message_ += bytes;
}

}  // namespace samebits
