#include "harness/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <csignal>
#include <filesystem>
#include <limits>
#include <utility>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/mapped_file.h"
#include "harness/base/memory.h"
#include "tests/base/message_of.h"
#include "tests/base/temporary_folder.h"

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
            folder.path().string() + ": found a folder, expected a regular file");
  EXPECT_EQ(message_of<InputError>([&] { read_text_file(folder / "none"); }),
            folder / "none" + ": cannot be opened: No such file or directory");
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(message_of<InputError>([&] { read_text_file(folder / "pipe"); }),
            folder / "pipe" + ": found a pipe, expected a regular file");
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

// Each of these is a way out of the folder that somebody named, or a wait without end.
TEST(File, NothingButARegularFileIsWrittenOver) {
  const TemporaryFolder folder;
  write_text_file(folder / "file", "mine");
  ASSERT_EQ(symlink((folder / "file").c_str(), (folder / "link").c_str()), 0);
  ASSERT_EQ(symlink((folder / "none").c_str(), (folder / "dangling").c_str()), 0);
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  std::vector<std::pair<std::string, std::string>> outputs = {{folder / "link", "a link"},
                                                              {folder / "dangling", "a link"},
                                                              {folder / "pipe", "a pipe"},
                                                              {folder.path().string(), "a folder"}};
  // A device of the test's own: were one of the machine's given, a broken check would take it away.
  const bool has_device = mknod((folder / "null").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0;
  if (has_device) outputs.emplace_back(folder / "null", "a device");
  for (const auto& [path, kind] : outputs) {
    const std::string expected = path + ": found " + kind + ", expected a regular file";
    EXPECT_EQ(message_of<InputError>([&] { check_output(path); }), expected);
    EXPECT_EQ(message_of<InputError>([&] { write_text_file(path, "x"); }), expected);
    EXPECT_EQ(message_of<InputError>([&] { open_for_appending(path); }), expected);
  }
  EXPECT_EQ(read_text_file(folder / "link"), "mine") << "an input may be a link";
  EXPECT_EQ(files_in(folder), has_device ? 5u : 4u);
}

TEST(File, WhatTakesItsPlaceMeanwhileIsLeft) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "a");
  file.write("text");
  ASSERT_EQ(mkfifo((folder / "a").c_str(), 0600), 0);
  EXPECT_EQ(message_of<InputError>([&] { file.commit(); }),
            folder / "a" + ": found a pipe, expected a regular file");
}

TEST(File, NamesThatAreNoneAreRefused) {
  const std::string with_nul("a\0b", 3);
  const auto refused = [](const std::string& path, const std::string& message) {
    EXPECT_EQ(message_of<InputError>([&] { open_for_reading(path); }), message);
    EXPECT_EQ(message_of<InputError>([&] { check_output(path); }), message);
    EXPECT_EQ(message_of<InputError>([&] { write_text_file(path, ""); }), message);
    EXPECT_EQ(message_of<InputError>([&] { open_for_appending(path); }), message);
    EXPECT_EQ(message_of<InputError>([&] { make_folder(path); }), message);
  };
  refused("", "a path: found \"\", expected a name");
  refused(with_nul, "a\\u0000b: found a NUL in it, expected a name");
  refused("-x", "-x: found a name that begins with a dash, expected ./-x");
}

TEST(File, AnOutputWithoutItsFolderIsToldBeforeAnyWork) {
  const TemporaryFolder folder;
  write_text_file(folder / "file", "");
  check_output(folder / "file");
  check_output(folder / "new");
  EXPECT_EQ(message_of<InputError>([&] { check_output(folder / "none" + "/a"); }),
            folder / "none" + "/a: cannot be written: " + (folder / "none") +
                ": No such file or directory");
  EXPECT_THAT(message_of<InputError>([&] { check_output(folder / "file" + "/a"); }),
              HasSubstr("Not a directory"));
}

TEST(File, FoldersAreMadeOrRefused) {
  const TemporaryFolder folder;
  write_text_file(folder / "file", "");
  make_folder(folder / "a" + "/b");
  make_folder(folder / "a" + "/b");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a" + "/b"));
  EXPECT_THAT(message_of<InputError>([&] { make_folder(folder / "file"); }),
              HasSubstr("file: found"));
  EXPECT_THAT(message_of<InputError>([&] { make_folder(folder / "file" + "/b"); }),
              HasSubstr("expected a folder that can be made"));
  EXPECT_THAT(message_of<InputError>([&] { make_folder(folder / std::string(300, 'x')); }),
              HasSubstr("File name too long"));
}

TEST(File, AFileThatMemoryCannotHoldIsRefusedUnread) {
  const TemporaryFolder folder;
  write_text_file(folder / "sparse", "");
  std::filesystem::resize_file(folder / "sparse", uintmax_t{1} << 42);
  EXPECT_THAT(message_of<InputError>([&] { read_text_file(folder / "sparse"); }),
              HasSubstr("found a file of 4398046511104 bytes"));
}

TEST(Memory, IsTheLeastOfMachineAndControlGroups) {
  const TemporaryFolder root;
  const auto write = [&](const std::string& file, const std::string& text) {
    const std::filesystem::path path = root / file;
    std::filesystem::create_directories(path.parent_path());
    write_text_file(path.string(), text);
  };
  EXPECT_EQ(available_memory(root.path()), std::numeric_limits<int64_t>::max());
  write("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    2000 kB\nSwapFree: 1 kB\n");
  EXPECT_EQ(available_memory(root.path()), 2000 * 1024);
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/b/memory.max", "max\n");
  write("sys/fs/cgroup/a/b/memory.current", "100\n");
  EXPECT_EQ(available_memory(root.path()), 2000 * 1024);
  write("sys/fs/cgroup/a/memory.max", "1000\n");
  write("sys/fs/cgroup/a/memory.current", "700\n");
  EXPECT_EQ(available_memory(root.path()), 300);
  write("sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 200\n");
  EXPECT_EQ(available_memory(root.path()), 500);
  write("proc/self/cgroup", "4:cpu,memory:/c\n1:name=systemd:/\n");
  write("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "900\n");
  write("sys/fs/cgroup/memory/c/memory.usage_in_bytes", "950\n");
  EXPECT_EQ(available_memory(root.path()), 0);
  EXPECT_GT(available_memory(), 0) << "here";
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
