#include "harness/logs/zip.h"

#include <zlib.h>

#include <algorithm>
#include <set>
#include <utility>

#include "harness/base/error.h"

namespace samebits {
namespace {

constexpr std::string_view kEnd("PK\5\6", 4);
constexpr std::string_view kLargeEnd("PK\6\6", 4);
constexpr std::string_view kLargeEndLocator("PK\6\7", 4);
constexpr std::string_view kEntry("PK\1\2", 4);
constexpr std::string_view kLocal("PK\3\4", 4);
constexpr uint64_t kEndSize = 22;
constexpr uint64_t kLocatorSize = 20;
constexpr uint64_t kEntrySize = 46;
constexpr uint64_t kLocalSize = 30;
constexpr uint64_t kLongestComment = 0xffff;
constexpr uint64_t kSeeLarge = 0xffffffff;  // the number stands in the entry's extra field
constexpr uint16_t kEncrypted = 1;
constexpr uint16_t kStored = 0;
constexpr uint16_t kDeflated = 8;

uint32_t crc_of(std::string_view bytes) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// What is inflated grows up to `size` and one byte, so that a member which is longer is seen.
bool inflate_to(std::string_view packed, uint64_t size, std::string& bytes) {
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
  constexpr size_t kBlock = size_t{1} << 20;
  std::string block(kBlock, '\0');
  int state = Z_OK;
  while (state == Z_OK && bytes.size() <= size) {
    if (stream.avail_in == 0) {
      const auto part = std::min<size_t>(packed.size(), kBlock);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
      stream.avail_in = static_cast<uInt>(part);
      packed.remove_prefix(part);
    }
    stream.next_out = reinterpret_cast<Bytef*>(block.data());
    stream.avail_out = kBlock;
    state = inflate(&stream, Z_NO_FLUSH);
    bytes.append(block, 0, kBlock - stream.avail_out);
  }
  inflateEnd(&stream);
  return state == Z_STREAM_END;
}

}  // namespace

ZipArchive::ZipArchive(std::string_view bytes, std::string file)
    : bytes_(bytes), file_(std::move(file)) {
  read_directory();
}

void ZipArchive::fail(const std::string& where, const std::string& found,
                      const std::string& expected) const {
  throw InputError(file_ + ": " + where, found, expected);
}

std::string_view ZipArchive::slice(uint64_t at, uint64_t size) const {
  if (at > bytes_.size() || size > bytes_.size() - at) {
    fail("byte " + std::to_string(at),
         "the end of the file within " + std::to_string(size) + " bytes",
         "a whole archive (cut off?)");
  }
  return bytes_.substr(at, size);
}

uint64_t ZipArchive::number_at(uint64_t at, size_t bytes) const {
  const std::string_view raw = slice(at, bytes);
  uint64_t number = 0;
  for (size_t i = 0; i < bytes; ++i) {
    number |= static_cast<uint64_t>(static_cast<uint8_t>(raw[i])) << (8 * i);
  }
  return number;
}

void ZipArchive::read_directory() {
  const uint64_t size = bytes_.size();
  const uint64_t earliest = size - std::min(size, kEndSize + kLongestComment);
  const size_t end = bytes_.rfind(kEnd);
  if (end == std::string_view::npos || end < earliest || size - end < kEndSize) {
    fail("byte " + std::to_string(size), "no end of a ZIP archive", "one (cut off?)");
  }
  uint64_t count = number_at(end + 10, 2);
  uint64_t at = number_at(end + 16, 4);
  uint64_t directory_end = end;
  if (end >= kLocatorSize && slice(end - kLocatorSize, 4) == kLargeEndLocator) {
    const uint64_t large = number_at(end - kLocatorSize + 8, 8);
    if (slice(large, 4) != kLargeEnd) {
      fail("byte " + std::to_string(large), "no end of a large archive", "one");
    }
    count = number_at(large + 32, 8);
    at = number_at(large + 48, 8);
    directory_end = large;
  }
  std::set<std::string> names;
  for (uint64_t i = 0; i < count; ++i) {
    members_.push_back(member_at(at));
    const std::string& name = members_.back().name;
    if (!names.insert(name).second) fail(printable(name), "a second member of the name", "one");
  }
  if (at != directory_end) {
    fail("byte " + std::to_string(at),
         "more than the " + std::to_string(count) + " entries that are counted",
         "the end of the directory");
  }
}

ZipArchive::Member ZipArchive::member_at(uint64_t& at) const {
  if (slice(at, kEntrySize).substr(0, kEntry.size()) != kEntry) {
    fail("byte " + std::to_string(at), "no entry of the directory", "one");
  }
  Member member;
  member.flags = static_cast<uint16_t>(number_at(at + 8, 2));
  member.method = static_cast<uint16_t>(number_at(at + 10, 2));
  member.crc = static_cast<uint32_t>(number_at(at + 16, 4));
  member.packed = number_at(at + 20, 4);
  member.size = number_at(at + 24, 4);
  member.offset = number_at(at + 42, 4);
  const uint64_t name = number_at(at + 28, 2);
  const uint64_t extra = number_at(at + 30, 2);
  member.name = slice(at + kEntrySize, name);
  read_large(slice(at + kEntrySize + name, extra), at, member);
  at += kEntrySize + name + extra + number_at(at + 32, 2);
  return member;
}

// Of an entry whose sizes do not fit: field 1 of the extra ones has those that say so, in order.
void ZipArchive::read_large(std::string_view extra, uint64_t at, Member& member) const {
  const auto word = [&](size_t i, size_t bytes) {
    return number_at(static_cast<uint64_t>(extra.data() - bytes_.data()) + i, bytes);
  };
  for (size_t i = 0; i + 4 <= extra.size();) {
    const uint64_t size = word(i + 2, 2);
    const size_t end = i + 4 + size;
    if (end > extra.size()) fail("byte " + std::to_string(at), "a field beyond its entry", "one");
    size_t next = i + 4;
    if (word(i, 2) == 1) {
      for (uint64_t* number : {&member.size, &member.packed, &member.offset}) {
        if (*number != kSeeLarge || next + 8 > end) continue;
        *number = word(next, 8);
        next += 8;
      }
    }
    i = end;
  }
}

std::string ZipArchive::bytes_of(const Member& member) const {
  const std::string where = printable(member.name);
  if ((member.flags & kEncrypted) != 0) fail(where, "a member that is encrypted", "a plain one");
  if (slice(member.offset, kLocalSize).substr(0, kLocal.size()) != kLocal) {
    fail(where, "no header at byte " + std::to_string(member.offset), "the member's");
  }
  const uint64_t begin = member.offset + kLocalSize + number_at(member.offset + 26, 2) +
                         number_at(member.offset + 28, 2);
  const std::string_view packed = slice(begin, member.packed);
  std::string bytes;
  if (member.method == kStored) {
    bytes = packed;
  } else if (member.method != kDeflated) {
    fail(where, "compression method " + std::to_string(member.method), "none, or deflate");
  } else if (!inflate_to(packed, member.size, bytes)) {
    fail(where, "compressed bytes that are broken", "those that were written");
  }
  if (bytes.size() != member.size) {
    fail(where, std::to_string(bytes.size()) + " bytes", std::to_string(member.size));
  }
  if (crc_of(bytes) != member.crc) fail(where, "another CRC", "the one of its bytes");
  return bytes;
}

}  // namespace samebits
