#include <gmock/gmock.h>

#include "harness/report/writers.h"
#include "tests/report/run.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;

class Trace : public testing::Scratch {
 protected:
  Json trace_of(const RecordedRun& run) {
    return parse_json(trace_report(record_from(run), run), "trace");
  }
  RecordedRun recorded() {
    testing::write_run(folder_ / "run", {});
    return read_run(folder_ / "run");
  }
  // The spans of one process and thread, in the order of the file.
  static std::vector<Json> spans_of(const Json& trace, int64_t process, int64_t thread) {
    std::vector<Json> spans;
    for (const Json& event : trace.at("traceEvents")) {
      const bool is_here = event.at("pid") == process && event.at("tid") == thread;
      if (event.at("ph") == "X" && is_here) spans.push_back(event);
    }
    return spans;
  }
};

TEST_F(Trace, PhasesStandOneAfterTheOtherInTheirSteps) {
  const std::vector<Json> spans = spans_of(trace_of(recorded()), 2, 0);
  ASSERT_EQ(spans.size(), 3u * 6u);  // a step, its four phases, and what looking at them took
  EXPECT_EQ(spans[0].at("name"), "step 0");
  EXPECT_EQ(spans[0].at("dur"), 2'500'000);
  EXPECT_EQ(spans[0].at("args").at("generator.nodes"), 812);
  EXPECT_EQ(spans[1].at("name"), "rollout");
  EXPECT_EQ(spans[1].at("dur"), 1'500'000);
  EXPECT_EQ(spans[2].at("name"), "train");
  EXPECT_EQ(spans[2].at("ts"), 1'500'000);
  EXPECT_EQ(spans[5].at("cat"), "observing");
  EXPECT_EQ(spans[5].at("ts"), 2'000'000);
  EXPECT_EQ(spans[6].at("name"), "step 1");
  EXPECT_EQ(spans[6].at("ts"), 2'500'000);
}

TEST_F(Trace, EachRankIsAThread) {
  RecordedRun run = recorded();
  run.recordings[0].ranks.push_back(run.recordings[0].ranks[0]);
  for (Observation& seen : run.recordings[0].ranks[1].observations) seen.rank = 1;
  run.recordings[0].steps_of_others = {
      {{.step = 0, .phases = {{"train", 0.25, 0, 0}}, .witness = {}}}};
  const std::vector<Json> spans = spans_of(trace_of(run), 1, 1);
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[1].at("dur"), 250'000);
}

TEST_F(Trace, SaysWhatItDoesNotKnow) {
  const Json trace = trace_of(recorded());
  EXPECT_THAT(trace.at("metadata").at("layout").get<std::string>(), HasSubstr("not when it began"));
  EXPECT_THAT(trace.at("metadata").at("counters").get<std::string>(),
              HasSubstr("Collectives were neither timed nor counted"));
}

}  // namespace
}  // namespace samebits
