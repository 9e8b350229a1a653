#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace samebits {

// A ZIP archive in memory, as far as Python writes one: members that are stored or deflated, in
// either of the two sizes of the format (APPNOTE 6.3, sections 4.3 to 4.5). Every length in it is
// checked before it is used.
class ZipArchive {
 public:
  struct Member {
    std::string name;
    uint16_t flags = 0;
    uint16_t method = 0;
    uint32_t crc = 0;
    uint64_t packed = 0;  // bytes in the archive
    uint64_t size = 0;    // bytes of the member
    uint64_t offset = 0;  // of its local header
  };

  // `bytes` is borrowed; `file` stands for it in errors. Throws InputError for what is no archive.
  ZipArchive(std::string_view bytes, std::string file);

  const std::vector<Member>& members() const { return members_; }

  // The bytes of a member, checked against its size and its CRC. Throws InputError.
  std::string bytes_of(const Member& member) const;

 private:
  std::string_view slice(uint64_t at, uint64_t size) const;
  uint64_t number_at(uint64_t at, size_t bytes) const;
  void read_directory();
  Member member_at(uint64_t& at) const;
  void read_large(std::string_view extra, uint64_t at, Member& member) const;
  [[noreturn]] void fail(const std::string& where, const std::string& found,
                         const std::string& expected) const;

  std::string_view bytes_;
  std::string file_;
  std::vector<Member> members_;
};

}  // namespace samebits
