#include "harness/core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "harness/core/error.h"

namespace samebits {
namespace {

[[noreturn]] void throw_run_error(const std::string& path, const char* action) {
  throw RunError(path + ": cannot " + action + ": " + std::strerror(errno));
}

// A rename is on disk once its folder is.
void sync_folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const FileDescriptor fd(
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() >= 0) fsync(fd.get());  // some file systems refuse; the rename itself stands
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

FileDescriptor open_for_reading(const std::string& path) {
  // O_NONBLOCK: a FIFO must not make us wait for a writer before we can refuse it.
  FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (file.get() < 0 || fstat(file.get(), &status) != 0) {
    throw InputError(path + ": cannot be opened: " + std::strerror(errno));
  }
  if (S_ISDIR(status.st_mode)) throw InputError(path, "a folder", "a file");
  if (!S_ISREG(status.st_mode)) throw InputError(path, "a device or pipe", "a regular file");
  return file;
}

std::string read_text_file(const std::string& path) {
  const FileDescriptor file = open_for_reading(path);
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t got = read(file.get(), buffer, sizeof(buffer));
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw InputError(path + ": cannot be read: " + std::strerror(errno));
    text.append(buffer, static_cast<size_t>(got));
  }
}

AtomicFile::AtomicFile(std::string path)
    : path_(std::move(path)), temporary_path_(path_ + ".XXXXXX") {
  file_ = FileDescriptor(mkostemp(temporary_path_.data(), O_CLOEXEC));
  if (file_.get() < 0) {
    temporary_path_.clear();
    throw_run_error(path_, "create");
  }
}

AtomicFile::~AtomicFile() {
  if (!temporary_path_.empty()) unlink(temporary_path_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(file_.get(), bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) throw_run_error(path_, "write");
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::commit() {
  // mkostemp gives mode 0600; a finished file gets what an ordinary one would.
  const mode_t mask = umask(0);
  umask(mask);
  fchmod(file_.get(), 0666 & ~mask);
  if (fsync(file_.get()) != 0) throw_run_error(path_, "sync");
  if (close(file_.release()) != 0) throw_run_error(path_, "close");
  if (rename(temporary_path_.c_str(), path_.c_str()) != 0) throw_run_error(path_, "rename");
  temporary_path_.clear();
  sync_folder_of(path_);
}

void write_text_file(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace samebits
