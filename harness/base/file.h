#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The one way to files: every input is opened by open_for_reading(), every output by AtomicFile or
// open_for_appending(). A path from outside may be anything, so all of them refuse (InputError) an
// empty path, one with a NUL in it, one that begins with a dash, which a command line would take
// for a flag (`./-x` is no such path), and whatever is there and is no regular file. An input may
// be a link to a regular file, as caches of downloads have them; an output may not.
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

// The whole content of a text file. Throws InputError, also where the machine has no memory for it.
std::string read_text_file(const std::string& path);

// Throws InputError where no file can be written at `path`: what is there is no regular file, or
// its folder is not there or not ours to write to. For flags, before any work is done.
void check_output(const std::string& path);
// Nor where it would replace one of the `inputs`, or stand in a folder that is one.
void check_output(const std::string& path, const std::vector<std::filesystem::path>& inputs);

// Opens a regular file of our own to append to, or to lock; made where absent, and with `is_new`
// refused (RunError) where it is there. Other failures of the system are RunError too.
FileDescriptor open_for_appending(const std::string& path, bool is_new = false);

// Makes a folder, and those above it, where they are absent. Throws InputError.
void make_folder(const std::filesystem::path& folder);

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
