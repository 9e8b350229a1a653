#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace samebits {

// Owns an open file descriptor.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int get() const { return fd_; }

  // Gives the descriptor away; the caller closes it.
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// Opens an existing regular file. Throws InputError that names `path` and the reason.
FileDescriptor open_for_reading(const std::string& path);

// The whole content of a text file. Throws InputError.
std::string read_text_file(const std::string& path);

// A file that appears under its name only when it is complete. The bytes go to a temporary file in
// the same folder; `commit` syncs and renames it over `path`. Until then an older file of that name
// is untouched, and without `commit` the temporary file is removed.
class AtomicFile {
 public:
  // Every member throws RunError (full disk, missing folder, no permission) naming `path`.
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  std::string path_;
  std::string temporary_path_;
  FileDescriptor file_;
};

// Writes a whole text file through AtomicFile.
void write_text_file(const std::string& path, std::string_view text);

}  // namespace samebits
