#include "harness/run/run_case.h"

#include <gmock/gmock.h>

#include <map>

#include "harness/base/error.h"
#include "harness/bits/safetensors.h"
#include "harness/compare/bless.h"
#include "harness/compare/call_graph.h"
#include "harness/observe/run_files.h"
#include "harness/observe/run_folder.h"
#include "harness/observe/times_file.h"
#include "tests/run/support.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::Not;
using RunCase = testing::Run;

const std::vector<std::string> kFusedB = {"b.numerics.fused_rounding=true"};

TEST_F(RunCase, EqualArmsHoldAndLeaveAReportAndAManifest) {
  const ReportRecord record = run(small_case(), options());
  EXPECT_TRUE(record.holds) << record.headline;
  EXPECT_TRUE(fs::exists(options().out / "report.md"));
  EXPECT_TRUE(fs::exists(options().out / "report.html"));
  EXPECT_TRUE(read_manifest(options().out));
  ASSERT_EQ(record.models.size(), 1u);
  EXPECT_GT(record.models[0].parameters, 100'000);
}

TEST_F(RunCase, ArmsRunForTheClockInRoundsThatBeginWithAnotherOne) {
  RunOptions timed = options();
  timed.repeat = 2;
  EXPECT_THAT(message_of<InputError>([&] { run(small_case(), timed); }), HasSubstr("--repeat"));
  const ReportRecord record = run(small_case({"steps=2"}), timed);
  const std::vector<TimedRun> times = read_times(timed.out);
  ASSERT_EQ(times.size(), 4u);
  EXPECT_EQ(times[0].arm, "a");
  EXPECT_EQ(times[1].arm, "b");
  EXPECT_EQ(times[2].arm, "b");
  EXPECT_EQ(times[3].arm, "a");
  EXPECT_EQ(times[0].seconds.size(), 1u);  // the first step is warm-up
  EXPECT_EQ(record.fair_times.size(), 2u);
}

// Both arms share the fault, so they are equal to each other.
TEST_F(RunCase, TwoArmsWithTheSameBrokenSyncAreOffPolicy) {
  const std::vector<std::string> trains = {"steps=2", "workload.optimizer.lr=0.01"};
  std::vector<std::string> broken = trains;
  broken.emplace_back("workload.sync=never");
  const ReportRecord record = run(small_case(broken), options());
  EXPECT_FALSE(record.holds);
  EXPECT_TRUE(record.verdicts[0].holds);
  ASSERT_EQ(record.failures.size(), 2u) << record.headline;
  EXPECT_THAT(record.failures[0].title,
              ::testing::MatchesRegex("a is off policy: generator and trainer differ on [0-9]+ of "
                                      "16 tokens, by up to [0-9]+ ULP"));
  std::map<std::string, std::string> facts(record.failures[0].facts.begin(),
                                           record.failures[0].facts.end());
  EXPECT_EQ(facts["where"], "step 1, train, logprob[0,0]");
  EXPECT_THAT(facts["values"], HasSubstr("(generator against trainer)"));
  EXPECT_THAT(facts["sync"],
              ::testing::MatchesRegex("step 0: 0 of [0-9]+ weights arrived, first "
                                      "tok_embeddings.weight, which stayed what it was in the "
                                      "generator"));
  EXPECT_THAT(record.headline, HasSubstr("FAILED: a is off policy"));

  const ReportRecord mended = run(small_case(trains), options(Existing::kReplace));
  EXPECT_TRUE(mended.holds) << mended.headline;
  EXPECT_THAT(mended.headline, HasSubstr("generator and trainer agree to the bit in a and b (30 "));
}

TEST_F(RunCase, StepThatLearnsNothingNeedsAReason) {
  const std::vector<std::string> still = {"workload.optimizer.lr=0"};
  const ReportRecord record = run(small_case(still), options());
  EXPECT_FALSE(record.holds);
  EXPECT_THAT(record.headline, HasSubstr("a repeats a step"));
  EXPECT_THAT(message_of<InputError>([&] {
                bless(options().golden, case_of_run(options().out),
                      {read_arm(options().out / "a"), read_arm(options().out / "b")}, {});
              }),
              HasSubstr("the weights of step 0 are the first ones"));

  std::vector<std::string> meant = still;
  meant.emplace_back(R"(repeats={"weights": "lr is 0"})");
  const ReportRecord accepted = run(small_case(meant), options(Existing::kReplace));
  EXPECT_TRUE(accepted.holds) << accepted.headline;
  EXPECT_THAT(accepted.blind_spots, ::testing::Contains(HasSubstr("as the case has it: lr is 0")));
}

TEST_F(RunCase, ArmsThatDivergeAreRunAgainAndTheOperatorIsNamed) {
  const ReportRecord record = run(small_case(kFusedB), options());
  EXPECT_FALSE(record.holds);
  ASSERT_EQ(record.failures.size(), 1u);
  EXPECT_EQ(record.failures[0].title, "a and b diverge");
  std::string op;
  for (const auto& [key, value] : record.failures[0].facts) {
    if (key == "operator") op = value;
  }
  EXPECT_THAT(op, HasSubstr("layers.0.attention_norm#0"));
  EXPECT_TRUE(fs::exists(options().out / "op-a+b" / "a" / "rank-0.jsonl"));
}

// Weights that another learning rate moved elsewhere: a digest knows no distance, kept elements do.
TEST_F(RunCase, BoundsJudgeTensorsThatAreKept) {
  const auto judged = [&](const std::string& atol, const std::vector<std::string>& more) {
    std::vector<std::string> overrides = {
        "b.workload.optimizer.lr=1.1e-5",
        R"(relations=[{"arms":["a","b"],"holds":"allclose","rtol":0,"atol":)" + atol +
            R"(,"reason":"another learning rate"}])"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return run(small_case(overrides), options(Existing::kReplace));
  };
  const std::string keep = R"(keep={"sites":"weight"})";
  const ReportRecord within = judged("1e-4", {keep});
  EXPECT_TRUE(within.holds) << within.headline;
  EXPECT_TRUE(fs::exists(options().out / "a" / "kept-0.safetensors"));
  const ReportRecord beyond = judged("1e-9", {keep});
  EXPECT_FALSE(beyond.holds);
  std::map<std::string, std::string> facts(beyond.failures[0].facts.begin(),
                                           beyond.failures[0].facts.end());
  EXPECT_THAT(facts["values"], HasSubstr(" differ, first ["));
  EXPECT_FALSE(judged("1e-4", {}).holds);
  EXPECT_FALSE(judged("1e-4", {R"(a.keep={"sites":"weight"})"}).holds);
}

TEST_F(RunCase, KeepsWhatItWasAskedToOrFails) {
  const auto error_of = [&](const std::string& keep) {
    return message_of<RunError>(
        [&] { run(small_case({"a.keep=" + keep}), options(Existing::kReplace)); });
  };
  EXPECT_THAT(error_of(R"({"sites":"mlp#0"})"),
              HasSubstr("arm a: keep, at level step: no tensor was observed at a site that matches "
                        "\"mlp#0\""));
  EXPECT_THAT(error_of(R"({"sites":"^loss$"})"), HasSubstr("no tensor was observed"));
  EXPECT_THAT(error_of(R"({"sites":"weight","bytes":1000})"),
              HasSubstr("more than keep.bytes, 1000"));
}

// The tensors that are kept are those that were observed: inside of a replay too, where the same
// graph gives them node by node.
TEST_F(RunCase, WhereArmsDivergeBothTensorsAreKeptAndCompared) {
  for (const std::string mode : {"eager", "piecewise"}) {
    const ReportRecord record =
        run(small_case({kFusedB[0], "a.generator=" + mode}), options(Existing::kReplace));
    ASSERT_FALSE(record.failures.empty());
    const auto& facts = record.failures.back().facts;
    const auto has = [&](const std::string& fact, const std::string& text) {
      return std::any_of(facts.begin(), facts.end(), [&](const auto& each) {
        return each.first == fact && each.second.find(text) != std::string::npos;
      });
    };
    EXPECT_TRUE(has("elements", " differ")) << mode;
    EXPECT_TRUE(has("first", " ULP")) << mode;
    const fs::path folder = options().out / "op-a+b";
    const std::optional<CallGraph> calls = read_call_graph(folder);
    ASSERT_TRUE(calls);
    EXPECT_EQ(calls->nodes.back().state, CallGraph::State::kDifferent);
    EXPECT_EQ(calls->nodes.back().name, "samebits::rms_norm");
    EXPECT_EQ(calls->nodes.back().site, "layers.0.attention_norm#0");
    for (const size_t input : calls->nodes.back().inputs) {
      EXPECT_EQ(calls->nodes[input].state, CallGraph::State::kEqual);
    }
    const SafetensorsFile kept((folder / run_files::kDifference).string());
    for (const std::string arm : {"a", "b"}) {
      const ArmRecording recorded = read_arm(folder / arm);
      const TensorView& tensor = kept.at(arm);
      const Digest digest = digest_of(tensor.dtype, tensor.shape, tensor.data.data());
      const auto& seen = recorded.ranks[0].observations;
      EXPECT_TRUE(std::any_of(seen.begin(), seen.end(), [&](const Observation& each) {
        return each.digest == digest && is_operator_site(each.site);
      })) << mode;
    }
  }
}

TEST_F(RunCase, NanInBothArmsIsNoAgreementAndItsOperatorIsNamed) {
  model_ = copy_of_model();
  {  // The last norm's first weight becomes a NaN: bfloat16 0x7fc0, at the end of the file.
    std::fstream file(model_ / "model.safetensors",
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-2, std::ios::end);
    file.write("\xc0\x7f", 2);
  }
  const ReportRecord record = run(small_case(), options());
  EXPECT_FALSE(record.holds);
  EXPECT_THAT(record.headline, HasSubstr("a has a NaN or an infinity (step 0, rollout, logprob"));
  EXPECT_THAT(record.headline, HasSubstr("a and b agree in nothing"));
  std::map<std::string, std::string> facts(record.failures[0].facts.begin(),
                                           record.failures[0].facts.end());
  EXPECT_THAT(facts["operator"], HasSubstr("#0: the first operator's output"));
  EXPECT_EQ(facts["cause"],
            "input weight of samebits::rms_norm has 1 that are NaN or infinite: norm.weight, as "
            "the run began with it");

  const ReportRecord accepted = run(small_case({"nonfinite=accept"}), options(Existing::kReplace));
  EXPECT_TRUE(accepted.holds) << accepted.headline;
}

TEST_F(RunCase, BrokenGoldenIsRefusedBeforeAnythingIsWritten) {
  write(options().golden / "small" / "a.json", "{");
  EXPECT_THROW(run(small_case(), options()), InputError);
  EXPECT_FALSE(fs::exists(options().out));
}

TEST_F(RunCase, RequiredGoldenThatIsAbsentFails) {
  const ReportRecord record = run(small_case({"golden=required"}), options());
  EXPECT_FALSE(record.holds);
  EXPECT_THAT(record.headline, HasSubstr("a needs a golden; b needs a golden"));
}

TEST_F(RunCase, ArmAloneThatTrainsIsComparedWithItself) {
  const ReportRecord record = run(select_arms(small_case(), {"a"}), options());
  EXPECT_TRUE(record.holds && record.has_comparison);
  EXPECT_THAT(record.headline, HasSubstr("Generator and trainer agree to the bit in a (8 tokens)"));
}

TEST_F(RunCase, ArmAloneIsARecordingUntilItHasAGolden) {
  const std::vector<std::string> decode = {"workload.name=decode"};
  const Case alone = select_arms(small_case(decode), {"a"});
  const ReportRecord record = run(alone, options());
  EXPECT_TRUE(record.holds);
  EXPECT_FALSE(record.has_comparison);
  EXPECT_THAT(record.headline, HasSubstr("Recorded. Nothing was compared"));
  EXPECT_FALSE(run(select_arms(small_case({"workload.name=decode", "golden=required"}), {"a"}),
                   options(Existing::kReplace))
                   .holds);
  bless(options().golden, alone, {read_arm(options().out / "a")}, {"samebits run", "", {}});
  const ReportRecord again = run(alone, options(Existing::kReplace));
  EXPECT_TRUE(again.holds && again.has_comparison) << again.headline;
}

TEST_F(RunCase, ReportComparesWithTheGoldensThatStandNow) {
  const Case alone = select_arms(small_case(), {"a"});
  ASSERT_TRUE(run(alone, options()).holds);
  bless(options().golden, alone, {read_arm(options().out / "a")}, {"samebits run", "", {}});
  ASSERT_TRUE(run(alone, options(Existing::kReplace)).holds);
  EXPECT_THAT(record_from_folder(options().out).headline,
              HasSubstr("1 of 1 arms equal their goldens"));
  fs::remove_all(options().golden / "small");
  EXPECT_THAT(record_from_folder(options().out).headline,
              HasSubstr("not compared with a golden: there is none"));
}

TEST_F(RunCase, FinishedRunWhoseFilesChangedIsNoEvidence) {
  ASSERT_TRUE(run(small_case(), options()).holds);
  const fs::path arm = options().out / "b";
  const std::string steps = read(arm / "steps.jsonl");
  write(arm / "steps.jsonl", "");
  EXPECT_THAT(record_from_folder(options().out).headline,
              HasSubstr("b is no evidence: steps.jsonl is not the file that the run wrote"));
  EXPECT_FALSE(run(small_case(), options(Existing::kResume)).holds);
  write(arm / "steps.jsonl", steps);
  EXPECT_TRUE(record_from_folder(options().out).holds);

  fs::rename(options().out / "a", options().out / "x");
  fs::rename(arm, options().out / "a");
  fs::rename(options().out / "x", arm);
  EXPECT_THAT(record_from_folder(options().out).headline,
              HasSubstr("a is no evidence: its files were recorded as arm \"b\""));
}

TEST_F(RunCase, EditedStreamWithAnEditedMarkerIsToldByTheManifest) {
  ASSERT_TRUE(run(small_case(), options()).holds);
  for (const char* name : {"a", "b"}) {  // both arms alike, so that they stay equal
    const fs::path arm = options().out / name;
    const std::string stream = read(arm / "rank-0.jsonl");
    write(arm / "rank-0.jsonl", stream.substr(0, stream.rfind('\n', stream.size() - 2) + 1));
    const std::string digest = run_files::digest_of_file(arm / "rank-0.jsonl");
    std::string marker = read(arm / "finished.json");
    const std::string key = "\"rank-0.jsonl\":\"";
    write(arm / "finished.json", marker.replace(marker.find(key) + key.size(), 32, digest));
  }
  EXPECT_THAT(record_from_folder(options().out).headline,
              HasSubstr("finished.json is not the file that the run wrote"));
}

TEST_F(RunCase, RunThatLostPowerIsMended) {
  ASSERT_TRUE(run(small_case(), options()).holds);
  const fs::path stream = options().out / "b" / "rank-0.jsonl";
  const std::string whole = read(stream);
  fs::remove(options().out / "manifest.json");
  fs::resize_file(stream, 1000);
  EXPECT_TRUE(run(small_case(), options(Existing::kResume)).holds);
  EXPECT_EQ(read(stream), whole);
}

TEST_F(RunCase, AnotherModelOrLevelIsNotResumed) {
  model_ = copy_of_model();
  ASSERT_TRUE(run(small_case(), options()).holds);
  fs::remove(options().out / "manifest.json");
  fs::remove_all(options().out / "b");
  RunOptions at_op = options(Existing::kResume);
  at_op.level = Level::kOp;
  EXPECT_THAT(message_of<InputError>([&] { run(small_case(), at_op); }), HasSubstr("level"));
  flip_bit(model_ / "model.safetensors", 1000);
  EXPECT_THAT(message_of<InputError>([&] { run(small_case(), options(Existing::kResume)); }),
              HasSubstr("model.safetensors"));
}

TEST_F(RunCase, LevelOpGivesTheVerdictOfLevelStepWhereArmsCutTheWorkDifferently) {
  const std::vector<std::string> prefill = {"workload.name=decode", "b.workload.name=prefill"};
  RunOptions at_op = options();
  at_op.level = Level::kOp;
  const ReportRecord record = run(small_case(prefill), at_op);
  EXPECT_TRUE(record.holds) << record.headline;
  EXPECT_FALSE(record.verdicts[0].pairs[0].compares_operators);
}

}  // namespace
}  // namespace samebits
