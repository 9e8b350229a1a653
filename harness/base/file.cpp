#include "harness/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "harness/base/error.h"
#include "harness/base/memory.h"

namespace samebits {
namespace {

[[noreturn]] void throw_run_error(const std::string& path, const char* action) {
  throw RunError(path + ": cannot " + action + ": " + std::strerror(errno));
}

void check_name(const std::string& path) {
  if (path.empty()) throw InputError("a path", "\"\"", "a name");
  if (path.find('\0') != std::string::npos) throw InputError(path, "a NUL in it", "a name");
  if (path.front() == '-') {
    throw InputError(path, "a name that begins with a dash", "./" + path);
  }
}

// What is there and is no regular file; null for one.
const char* other_kind(const struct stat& status) {
  if (S_ISREG(status.st_mode)) return nullptr;
  if (S_ISDIR(status.st_mode)) return "a folder";
  if (S_ISLNK(status.st_mode)) return "a link";
  if (S_ISFIFO(status.st_mode)) return "a pipe";
  if (S_ISSOCK(status.st_mode)) return "a socket";
  return "a device";
}

void check_kind(const std::string& path, const struct stat& status) {
  if (const char* kind = other_kind(status)) throw InputError(path, kind, "a regular file");
}

// An output: nothing is there yet, or a regular file by its own name.
void check_is_free(const std::string& path) {
  check_name(path);
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0) check_kind(path, status);
}

std::string folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

// A rename is on disk once its folder is.
void sync_folder_of(const std::string& path) {
  const FileDescriptor fd(open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() >= 0) fsync(fd.get());  // some file systems refuse; the rename itself stands
}

// Small files are read without a look at the machine's memory.
void check_fits_memory(const std::string& path, int64_t bytes) {
  constexpr int64_t kSmall = int64_t{1} << 26;
  if (bytes <= kSmall) return;
  const int64_t available = available_memory();
  if (bytes <= available) return;
  throw InputError(path, "a file of " + std::to_string(bytes) + " bytes",
                   "at most the " + std::to_string(available) + " bytes of memory that are free");
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

FileDescriptor open_for_reading(const std::string& path) {
  check_name(path);
  // O_NONBLOCK: a FIFO must not make us wait for a writer before we can refuse it.
  FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (file.get() < 0 || fstat(file.get(), &status) != 0) {
    throw InputError(path + ": cannot be opened: " + std::strerror(errno));
  }
  check_kind(path, status);
  return file;
}

std::string read_text_file(const std::string& path) {
  const FileDescriptor file = open_for_reading(path);
  struct stat status {};
  if (fstat(file.get(), &status) == 0) check_fits_memory(path, status.st_size);
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

void check_output(const std::string& path) {
  check_is_free(path);
  const std::string folder = folder_of(path);
  // The slash asks for a folder.
  if (access((folder + "/").c_str(), W_OK | X_OK) == 0) return;
  throw InputError(path + ": cannot be written: " + folder + ": " + std::strerror(errno));
}

void check_output(const std::string& path, const std::vector<std::filesystem::path>& inputs) {
  check_output(path);
  for (const std::filesystem::path& input : inputs) {
    std::error_code error;  // what is not there is equivalent to nothing
    if (std::filesystem::equivalent(path, input, error) ||
        std::filesystem::equivalent(folder_of(path), input, error)) {
      throw InputError(path, "what the command reads (" + input.string() + ")",
                       "another place to write to");
    }
  }
}

FileDescriptor open_for_appending(const std::string& path, bool is_new) {
  check_is_free(path);
  const int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  FileDescriptor file(open(path.c_str(), is_new ? flags | O_EXCL : flags, 0644));
  if (file.get() < 0) throw_run_error(path, "be opened for writing");
  return file;
}

void make_folder(const std::filesystem::path& folder) {
  check_name(folder.string());
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error && !std::filesystem::is_directory(folder, error) && !error) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (error) throw InputError(folder.string(), error.message(), "a folder that can be made");
}

AtomicFile::AtomicFile(std::string path)
    : path_(std::move(path)), temporary_path_(path_ + ".XXXXXX") {
  check_is_free(path_);
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
  check_is_free(path_);  // somebody may have been here meanwhile
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
