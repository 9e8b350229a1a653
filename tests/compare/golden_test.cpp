#include "harness/compare/golden.h"

#include <gmock/gmock.h>

#include <limits>

#include "harness/core/error.h"
#include "tests/compare/streams.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using testing::grpo_stream;
using ::testing::HasSubstr;
using testing::message_of;
using testing::nudged;
using testing::recording;
using testing::scalar;
using testing::tokens;

using Status = GoldenCheck::Status;

Case example_case(const std::vector<std::string>& overrides = {}) {
  return parse_case(
      R"({"name": "c", "model": "m", "steps": 3, "arms": {"a": {}, "b": {"mesh": {"tp": 2}}},
          "relations": [{"arms": ["a", "b"], "holds": "bit_exact"}]})",
      "c.json", overrides);
}

std::vector<ArmRecording> both(const std::vector<Observation>& stream) {
  return {recording("a", stream), recording("b", stream)};
}

class Golden : public testing::Scratch {
 protected:
  std::vector<std::string> bless_stream(const std::vector<Observation>& stream,
                                        const std::string& reason = "") {
    return bless(folder_, example_case(), both(stream),
                 {"samebits run c.json", reason, {{"cpu", "x"}}});
  }
  GoldenCheck check(const std::vector<Observation>& stream,
                    const std::vector<std::string>& overrides = {}) {
    const Case c = example_case(overrides);
    return check_golden(folder_, c, c.arm("a"), recording("a", stream));
  }
  void edit(const std::string& file, const std::string& from, const std::string& to) {
    std::string text = read(folder_ / "c" / file);
    ASSERT_NE(text.find(from), std::string::npos) << from;
    write(folder_ / "c" / file, text.replace(text.find(from), from.size(), to));
  }
};

TEST_F(Golden, BlessedRunChecksEqualAndAChangedBitDoesNot) {
  EXPECT_THAT(bless_stream(grpo_stream(3)), ElementsAre("a: new", "b: new"));
  EXPECT_EQ(check(grpo_stream(3)).status, Status::kEqual);
  for (const char* site : {"loss", "logprob[1,1]", "reward[0]", "grad_norm"}) {
    const GoldenCheck changed = check(nudged(grpo_stream(3), 1, site));
    EXPECT_EQ(changed.status, Status::kDifferent) << site;
    EXPECT_TRUE(changed.fails());
    EXPECT_THAT(changed.text, HasSubstr("step 1"));
  }
}

TEST_F(Golden, ShorterRunIsComparedAsFarAsItWent) {
  bless_stream(grpo_stream(3));
  EXPECT_EQ(check(grpo_stream(2), {"steps=2"}).status, Status::kEqual);
  EXPECT_EQ(check(nudged(grpo_stream(2), 0, "kl"), {"steps=2"}).status, Status::kDifferent);
  EXPECT_EQ(check(grpo_stream(2)).status, Status::kDifferent) << "a step is missing";
}

TEST_F(Golden, AbsentGoldenAndOtherSettingsAreToldApart) {
  EXPECT_EQ(check(grpo_stream(3)).status, Status::kAbsent);
  bless_stream(grpo_stream(3));
  const GoldenCheck other = check(grpo_stream(3), {"workload.optimizer.lr=0.5"});
  EXPECT_EQ(other.status, Status::kOtherSettings);
  EXPECT_THAT(other.text, HasSubstr("workload.optimizer.lr"));
}

TEST_F(Golden, AnotherVersionOrPlatformIsRefusedWithTheCommandThatMadeIt) {
  bless_stream(grpo_stream(3));
  edit("a.json", "\"format\": 1", "\"format\": 2");
  EXPECT_THAT(message_of<InputError>([&] { check(grpo_stream(3)); }),
              HasSubstr("found version 2 (made by: samebits run c.json), expected version 1"));
  edit("a.json", "\"format\": 2", "\"format\": 1");
  edit("a.json", "\"platform\": \"sm90\"", "\"platform\": \"sm80\"");
  EXPECT_THAT(message_of<InputError>([&] { check(grpo_stream(3)); }),
              HasSubstr("found \"sm80\" (made by: samebits run c.json), expected \"sm90\""));
}

TEST_F(Golden, EditedStreamIsRefused) {
  bless_stream(grpo_stream(3));
  const std::string text = read(folder_ / "c" / "a.jsonl");
  write(folder_ / "c" / "a.jsonl", text.substr(text.find('\n') + 1));
  EXPECT_THAT(message_of<InputError>([&] { check(grpo_stream(3)); }), HasSubstr("stream_digest"));
}

TEST_F(Golden, ChangeNeedsAReasonAndSaysWhereItIsFirst) {
  bless_stream(grpo_stream(3));
  const std::string before = read(folder_ / "c" / "a.jsonl");
  EXPECT_THAT(bless_stream(grpo_stream(3)), ElementsAre("a: unchanged", "b: unchanged"));
  const std::vector<Observation> changed = nudged(grpo_stream(3), 2, "loss");
  EXPECT_THAT(message_of<InputError>([&] { bless_stream(changed); }), HasSubstr("--reason"));
  EXPECT_EQ(read(folder_ / "c" / "a.jsonl"), before);
  const std::vector<std::string> lines = bless_stream(changed, "a better exp");
  EXPECT_THAT(lines[0], HasSubstr("first changed: step 2, train, loss"));
  EXPECT_THAT(lines[0], HasSubstr("(a better exp)"));
  EXPECT_EQ(check(changed).status, Status::kEqual);
}

TEST_F(Golden, FailedRelationAndUnfinishedArmAreNotBlessed) {
  const Case c = example_case();
  EXPECT_THAT(
      message_of<InputError>([&] {
        bless(folder_, c,
              {recording("a", grpo_stream(3)), recording("b", nudged(grpo_stream(3), 0, "loss"))},
              {"x", "", {}});
      }),
      HasSubstr("relations that hold"));
  std::vector<ArmRecording> unfinished = both(grpo_stream(3));
  unfinished[1].finished = false;
  EXPECT_THAT(message_of<InputError>([&] {
                bless(folder_, c, unfinished, {"x", "", {}});
              }),
              HasSubstr("cut off"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "c"));
}

TEST_F(Golden, DegenerateStreamsAreRefused) {
  const auto with = [](const std::string& site, float value, bool everywhere) {
    std::vector<Observation> stream = grpo_stream(3);
    for (Observation& each : stream) {
      const bool is_meant = each.site == site && (everywhere || each.step == 1);
      if (is_meant) each = scalar(each.step, each.phase, site, value);
    }
    return stream;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_THAT(degeneracy(with("loss", 1, true)), HasSubstr("the same loss, 1, at all 3 steps"));
  EXPECT_EQ(degeneracy(with("loss", 1, false)), "");
  EXPECT_THAT(degeneracy(with("grad_norm", 0, false)), HasSubstr("a gradient norm of 0 at step 1"));
  EXPECT_THAT(degeneracy(with("logprob[0,1]", nan, false)), HasSubstr("logprob[0,1] is nan"));
  EXPECT_THAT(degeneracy(with("kl", infinity, false)), HasSubstr("kl is inf"));
  EXPECT_THAT(degeneracy({}), HasSubstr("no observation"));

  std::vector<Observation> silent = grpo_stream(3);
  silent[testing::at_site(silent, 1, "completion[0]")] = tokens(1, "completion[0]", {});
  EXPECT_EQ(degeneracy(silent), "");
  silent[testing::at_site(silent, 1, "completion[1]")] = tokens(1, "completion[1]", {});
  EXPECT_THAT(degeneracy(silent), HasSubstr("only empty completions at step 1"));
  EXPECT_THAT(message_of<InputError>([&] { bless_stream(silent); }),
              HasSubstr("arm a: found only"));
}

TEST_F(Golden, CondensingFoldsIndexedSitesAndKeepsTheRest) {
  std::vector<std::string> sites;
  for (const Observation& each : condense(recording("a", grpo_stream(1)))) {
    sites.push_back(each.site);
  }
  EXPECT_THAT(sites,
              ElementsAre("completion[*]", "logprob[*]", "reward[*]", "completion[*]", "logprob[*]",
                          "reward[*]", "reward_mean", "loss", "kl", "grad_norm"));
}

}  // namespace
}  // namespace samebits
