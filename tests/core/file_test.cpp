#include "harness/core/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/mapped_file.h"
#include "tests/core/message_of.h"
#include "tests/core/temporary_folder.h"

namespace samebits {
namespace {

using testing::HasSubstr;

size_t files_in(const TemporaryFolder& folder) {
  return std::distance(std::filesystem::directory_iterator(folder.path()), {});
}

TEST(File, ReadsWhatItWrote) {
  const TemporaryFolder folder;
  const std::string text("line\n\0\xff", 7);
  write_text_file(folder / "a.txt", text);
  EXPECT_EQ(read_text_file(folder / "a.txt"), text);
  write_text_file(folder / "a.txt", "");
  EXPECT_EQ(read_text_file(folder / "a.txt"), "");
  EXPECT_EQ(files_in(folder), 1u);
}

TEST(File, RefusesWhatIsNoFile) {
  const TemporaryFolder folder;
  EXPECT_EQ(message_of<InputError>([&] { read_text_file(folder.path().string()); }),
            folder.path().string() + ": found a folder, expected a file");
  EXPECT_EQ(message_of<InputError>([&] { read_text_file(folder / "none"); }),
            folder / "none" + ": cannot be opened: No such file or directory");
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(message_of<InputError>([&] { read_text_file(folder / "pipe"); }),
            folder / "pipe" + ": found a device or pipe, expected a regular file");
}

TEST(AtomicFile, LeavesTheOldFileUntilCommit) {
  const TemporaryFolder folder;
  write_text_file(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("new");
    EXPECT_EQ(read_text_file(folder / "a"), "old");
  }
  EXPECT_EQ(read_text_file(folder / "a"), "old");
  EXPECT_EQ(files_in(folder), 1u);
  AtomicFile file(folder / "a");
  file.write("new");
  file.commit();
  EXPECT_EQ(read_text_file(folder / "a"), "new");
}

TEST(AtomicFile, GivesTheModeOfAnOrdinaryFile) {
  const TemporaryFolder folder;
  const mode_t mask = umask(022);
  write_text_file(folder / "a", "text");
  umask(mask);
  struct stat status {};
  ASSERT_EQ(stat((folder / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0644u);
}

// A limit on the size of files stands for a disk that fills up half-way.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  sighandler_t handler_;
};

TEST(AtomicFile, AFullDiskLosesNothing) {
  const TemporaryFolder folder;
  write_text_file(folder / "a", "old");
  {
    const FileSizeLimit limit(100);
    EXPECT_EQ(message_of<RunError>([&] { write_text_file(folder / "a", std::string(200, 'x')); }),
              folder / "a" + ": cannot write: File too large");
  }
  EXPECT_EQ(read_text_file(folder / "a"), "old");
  EXPECT_EQ(files_in(folder), 1u);
}

TEST(AtomicFile, NamesAMissingFolder) {
  EXPECT_EQ(message_of<RunError>([] { AtomicFile("/nowhere/a"); }),
            "/nowhere/a: cannot create: No such file or directory");
}

TEST(MappedFile, ShowsTheBytesAndMoves) {
  const TemporaryFolder folder;
  write_text_file(folder / "a", "bytes");
  write_text_file(folder / "empty", "");
  MappedFile file(folder / "a");
  const std::byte* data = file.bytes().data();
  EXPECT_EQ(file.bytes().size(), 5u);
  EXPECT_EQ(file.bytes()[0], std::byte{'b'});
  MappedFile moved(std::move(file));
  EXPECT_EQ(moved.bytes().data(), data);
  MappedFile other(folder / "empty");
  EXPECT_TRUE(other.bytes().empty());
  other = std::move(moved);
  EXPECT_EQ(other.bytes().data(), data);
  EXPECT_TRUE(MappedFile().bytes().empty());
}

}  // namespace
}  // namespace samebits
