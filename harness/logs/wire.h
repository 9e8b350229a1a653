#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace samebits {

// How a field is written.
enum class WireKind : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// The fields of a message in protobuf's wire format, one by one. LibTorch brings a protobuf of its
// own along, whose symbols a second one would meet; five kinds of fields need none.
class WireReader {
 public:
  // `where` and `offset` (of the message in its file) are for errors.
  WireReader(std::string_view message, std::string where, size_t offset)
      : message_(message), where_(std::move(where)), offset_(offset) {}

  struct Field {
    uint64_t number = 0;
    WireKind kind = WireKind::kVarint;
    uint64_t value = 0;      // of a varint, and the bits of 4 or 8 fixed bytes
    std::string_view bytes;  // of what has a length: texts, messages, packed numbers
    size_t offset = 0;       // of `bytes` in the file
  };

  // False at the end. InputError where the message is cut or has a field of a kind that is gone.
  bool next(Field& field);

  // InputError where the field that next() has just given is of another kind.
  void require(const Field& field, WireKind kind) const;

 private:
  uint64_t varint();
  std::string_view take(uint64_t size);
  [[noreturn]] void fail(const std::string& found, const std::string& expected) const;

  std::string_view message_;
  std::string where_;
  size_t offset_;
  size_t at_ = 0;
};

// The same fields, written in the order of the calls.
class WireWriter {
 public:
  void varint(uint64_t number, uint64_t value);
  void fixed32(uint64_t number, uint32_t bits);
  void fixed64(uint64_t number, uint64_t bits);
  void bytes(uint64_t number, std::string_view bytes);

  const std::string& message() const { return message_; }

 private:
  void raw_varint(uint64_t value);
  void little_endian(uint64_t bits, int size);

  std::string message_;
};

}  // namespace samebits
