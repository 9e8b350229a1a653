#include <gmock/gmock.h>

#include "harness/logs/readers.h"
#include "harness/report/writers.h"
#include "tests/report/run.h"

namespace samebits {
namespace {

using testing::recording;
using testing::scalar;

Log read_back(const EventFile& file) { return read_tensorboard({file.bytes, file.arm, {}}); }

std::vector<EventFile> files_of(std::vector<Observation> stream) {
  RecordedRun run;
  run.recordings = {recording("eager", std::move(stream))};
  run.recordings[0].steps[0].phases = {{"rollout", 1.5, 0, 0}};
  return tensorboard_files(run);
}

// By the reader of such logs, whose own tests have files of another writer.
TEST(TensorboardReport, TheReaderFindsTheCurvesToTheBit) {
  const std::vector<Observation> stream = testing::grpo_stream(3);
  const std::vector<EventFile> files = files_of(stream);
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].arm, "eager");
  const std::vector<Observation> read = read_back(files[0]).stream.observations;
  size_t curves = 0;
  for (const Observation& seen : stream) {
    for (const char* site : {"loss", "kl", "grad_norm", "reward_mean"}) {
      if (seen.site != site) continue;
      ++curves;
      const auto same = [&](const Observation& each) {
        return each.step == seen.step && each.site == seen.site && each.bits == seen.bits;
      };
      EXPECT_EQ(std::count_if(read.begin(), read.end(), same), 1) << seen.step << " " << site;
    }
  }
  EXPECT_EQ(read.size(), curves);  // no token's logprob, no sample's reward
}

TEST(TensorboardReport, AChangedValueIsAnotherFile) {
  const std::vector<Observation> stream = testing::grpo_stream(3);
  EXPECT_EQ(files_of(stream)[0].bytes, files_of(stream)[0].bytes);
  EXPECT_NE(files_of(stream)[0].bytes, files_of(testing::nudged(stream, 2, "loss"))[0].bytes);
}

TEST(TensorboardReport, ASiteThatIsSeenTwiceInAStepIsWrittenOnce) {
  const std::vector<EventFile> files =
      files_of({scalar(0, "train", "loss", 1), scalar(0, "train", "loss", 2)});
  const std::vector<Observation> read = read_back(files[0]).stream.observations;
  ASSERT_EQ(read.size(), 1u);
  EXPECT_EQ(scalar_value(read[0]), 1);
}

}  // namespace
}  // namespace samebits
