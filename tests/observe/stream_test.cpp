#include "harness/observe/stream.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "harness/base/error.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

std::vector<Observation> example(int64_t steps) {
  std::vector<Observation> observations;
  for (int64_t step = 0; step < steps; ++step) {
    observations.push_back(observe_float32(step, "train", 0, "loss", 1.0f / (step + 1)));
    observations.push_back(observe_float32(step, "train", 0, "kl", 0.0f));
  }
  return observations;
}

std::string text_of(const std::vector<Observation>& observations) {
  std::string text;
  for (const Observation& each : observations) text += line_from_observation(each) + "\n";
  return text;
}

class Stream : public testing::Scratch {
 protected:
  std::filesystem::path file() const { return folder_ / "rank-0.jsonl"; }
};

TEST_F(Stream, ReadsBackWhatWasWritten) {
  const std::vector<Observation> observations = example(5);
  {
    StreamWriter writer(file());
    for (const Observation& each : observations) writer.record(each);
    writer.flush();
  }
  const StreamContents contents = read_stream(file());
  EXPECT_EQ(contents.observations, observations);
  EXPECT_EQ(contents.torn_bytes, 0);
  EXPECT_EQ(read(file()), text_of(observations));
}

TEST_F(Stream, WriterNeverOverwrites) {
  write(file(), "precious");
  EXPECT_THAT(message_of<RunError>([&] { StreamWriter writer(file()); }), HasSubstr("File exists"));
  EXPECT_EQ(read(file()), "precious");
}

// Cuts a stream at every byte: whole lines stay, the rest is reported as torn.
TEST_F(Stream, EveryPrefixIsReadable) {
  const std::vector<Observation> observations = example(2);
  const std::string text = text_of(observations);
  for (size_t size = 0; size <= text.size(); ++size) {
    const StreamContents contents = stream_from_text(text.substr(0, size), "s");
    const size_t whole = contents.observations.size();
    EXPECT_EQ(contents.whole_bytes + contents.torn_bytes, static_cast<int64_t>(size));
    EXPECT_EQ(text_of({observations.begin(), observations.begin() + whole}),
              text.substr(0, contents.whole_bytes));
    EXPECT_EQ(contents.torn_bytes == 0, size == 0 || text[size - 1] == '\n');
  }
}

TEST_F(Stream, GarbageInTheMiddleIsRefusedWithLineAndByte) {
  const std::string line = text_of(example(1));
  const std::string message =
      message_of<InputError>([&] { stream_from_text(line + "{\"step\":\n" + line, "s.jsonl"); });
  EXPECT_THAT(message, HasSubstr("s.jsonl: line 3 (byte " + std::to_string(line.size()) + ")"));
}

TEST_F(Stream, KilledWriterLeavesWholeLinesAndAtMostOneTornTail) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    StreamWriter writer(file());
    for (int64_t step = 0;; ++step) {
      for (const Observation& each : example(3)) writer.record(each);
      writer.flush();
    }
  }
  while (!std::filesystem::exists(file()) || std::filesystem::file_size(file()) < 20000) {
    ::usleep(1000);
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const StreamContents contents = read_stream(file());
  EXPECT_GT(contents.observations.size(), 50u);
  EXPECT_EQ(contents.observations[1], example(3)[1]);
}

// A file size limit stands in for a full disk: write(2) stops in the middle of a line.
TEST_F(Stream, FullDiskIsARunErrorAndLosesNothingRecorded) {
  const std::vector<Observation> observations = example(20);
  const std::string text = text_of(observations);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlim_t limit = text.size() / 2 + 7;
    const rlimit sizes = {limit, limit};
    ::setrlimit(RLIMIT_FSIZE, &sizes);
    int code = 1;
    try {
      StreamWriter writer(file());
      for (const Observation& each : observations) {
        writer.record(each);
        writer.flush();
      }
    } catch (const RunError&) {
      code = 0;
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  const StreamContents contents = read_stream(file());
  const size_t count = contents.observations.size();
  EXPECT_EQ(contents.torn_bytes, 0);
  EXPECT_EQ(static_cast<int64_t>(count),
            std::count(text.begin(), text.begin() + text.size() / 2 + 7, '\n'));
  EXPECT_EQ(contents.observations,
            std::vector<Observation>(observations.begin(), observations.begin() + count));
}

TEST_F(Stream, ResumedArmEndsWithTheBytesOfAnUndisturbedOne) {
  const std::vector<Observation> observations = example(6);
  const std::string whole = text_of(observations);
  for (const size_t size :
       {size_t{0}, size_t{10}, whole.size() / 2, whole.size() - 1, whole.size()}) {
    write(file(), whole.substr(0, size));
    {
      ReplayCheckedWriter writer(file());
      for (const Observation& each : observations) writer.record(each);
      writer.finish();
    }
    EXPECT_EQ(read(file()), whole) << "cut at byte " << size;
  }
}

TEST_F(Stream, ReplayThatPartsIsARunErrorThatNamesBothValues) {
  std::vector<Observation> observations = example(4);
  write(file(), text_of(observations));
  observations[4] = observe_float32(2, "train", 0, "loss", 0.25f);
  ReplayCheckedWriter writer(file());
  const std::string message = message_of<RunError>([&] {
    for (const Observation& each : observations) writer.record(each);
  });
  EXPECT_THAT(message, HasSubstr("line 5"));
  EXPECT_THAT(message, HasSubstr("now step 2 train rank 0 loss = 0.25"));
  EXPECT_THAT(message, HasSubstr("before step 2 train rank 0 loss = 0.33333334"));
}

TEST_F(Stream, ReplayThatSeesLessIsARunError) {
  const std::vector<Observation> observations = example(4);
  write(file(), text_of(observations));
  ReplayCheckedWriter writer(file());
  for (size_t i = 0; i < 5; ++i) writer.record(observations[i]);
  EXPECT_THAT(message_of<RunError>([&] { writer.finish(); }), HasSubstr("saw 5 of the 8"));
}

}  // namespace
}  // namespace samebits
