#include "harness/run/program_run.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "harness/base/file.h"
#include "tests/base/temporary_folder.h"

namespace samebits {
namespace {

TEST(ProgramRun, AProgramIsFoundAsAShellFindsIt) {
  const TemporaryFolder folder;
  write_text_file(folder / "here", "#!/bin/sh\n");
  write_text_file(folder / "not-ours", "text");
  chmod((folder / "here").c_str(), 0755);
  EXPECT_EQ(find_program("./here", folder.path(), ""), folder.path() / "./here");
  EXPECT_EQ(find_program("here", "/", folder.path().string()), folder.path() / "here");
  EXPECT_EQ(find_program("here", "/", "/nowhere:" + folder.path().string()),
            folder.path() / "here");
  EXPECT_EQ(find_program("here", folder.path(), "/nowhere"), "");
  EXPECT_EQ(find_program("not-ours", "/", folder.path().string()), "");
  EXPECT_EQ(find_program("./nobody", folder.path(), ""), "");
}

TEST(ProgramRun, TheLastLinesAreOneThatNothingActsOnATerminalIn) {
  const TemporaryFolder folder;
  write_text_file(folder / "out", "first\nsecond\n\n  third\x1b[31m\r\n   \nfourth");
  EXPECT_EQ(last_lines(folder / "out"), "second / third\\u001b[31m / fourth");
  write_text_file(folder / "empty", "\n\n");
  EXPECT_EQ(last_lines(folder / "empty"), "");
  EXPECT_EQ(last_lines(folder / "nobody"), "");
  write_text_file(folder / "long", std::string(1'000'000, 'x'));
  EXPECT_LE(last_lines(folder / "long").size(), 200u);
}

TEST(ProgramRun, AnEndIsTold) {
  EXPECT_EQ((ProgramEnd{.code = 3}).text(), "exited with code 3");
  EXPECT_EQ((ProgramEnd{.code = 137}).text(), "was ended by signal 9 (SIGKILL)");
  EXPECT_EQ((ProgramEnd{.code = 255}).text(), "exited with code 255");
  EXPECT_EQ((ProgramEnd{.code = 143, .is_late = true}).text(), "was still running after timeout_s");
  EXPECT_FALSE((ProgramEnd{.code = 0, .is_late = true}).is_good());
}

}  // namespace
}  // namespace samebits
