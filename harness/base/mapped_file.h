#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace samebits {

// A file mapped read-only into memory for as long as the object lives. The file must not shrink
// meanwhile: the kernel then ends the process with SIGBUS.
class MappedFile {
 public:
  MappedFile() = default;  // maps nothing

  // Throws InputError if `path` is not a readable regular file.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // Page-aligned; empty for an empty file.
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace samebits
