#include "harness/compare/golden.h"

#include <gmock/gmock.h>

#include <limits>

#include "harness/base/error.h"
#include "harness/compare/bless.h"
#include "harness/compare/condense.h"
#include "tests/compare/streams.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using testing::grpo_stream;
using ::testing::HasSubstr;
using testing::message_of;
using testing::nudged;
using ::testing::Pair;
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
    return check_golden(read_goldens(folder_, "c"), c, c.arm("a"), recording("a", stream));
  }
  void edit(const std::string& file, const std::string& from, const std::string& to) {
    std::string text = read(folder_ / "c" / file);
    ASSERT_NE(text.find(from), std::string::npos) << from;
    write(folder_ / "c" / file, text.replace(text.find(from), from.size(), to));
  }
};

TEST_F(Golden, BlessedRunChecksEqualAndAChangedBitDoesNot) {
  EXPECT_THAT(bless_stream(grpo_stream(3)), ElementsAre("a = b: new"));
  EXPECT_EQ(check(grpo_stream(3)).status, Status::kEqual);
  EXPECT_EQ(check(grpo_stream(3)).file, folder_ / "c" / "a.json");
  for (const char* site : {"loss", "logprob[1,1]", "reward[0]", "grad_norm"}) {
    const GoldenCheck changed = check(nudged(grpo_stream(3), 1, site));
    EXPECT_EQ(changed.status, Status::kDifferent) << site;
    EXPECT_TRUE(changed.fails());
    EXPECT_THAT(changed.text, HasSubstr("step 1"));
  }
}

TEST_F(Golden, SaysTheFirstNumberToo) {
  bless_stream(grpo_stream(3));
  const GoldenCheck changed = check(nudged(nudged(grpo_stream(3), 1, "logprob[1,1]"), 1, "loss"));
  EXPECT_THAT(changed.text, HasSubstr("golden against run: step 1, rollout, logprob[*]"));
  EXPECT_THAT(changed.text, HasSubstr("; step 1, train, loss: "));
}

TEST_F(Golden, BlessedAgainUnchangedKeepsItsReason) {
  bless_stream(grpo_stream(3), "the first");
  bless_stream(nudged(grpo_stream(3), 1, "loss"), "the loss moved");
  EXPECT_THAT(bless_stream(nudged(grpo_stream(3), 1, "loss")), ElementsAre("a = b: unchanged"));
  EXPECT_EQ(read_golden(folder_, "c", "a").provenance.reason, "the loss moved");
}

TEST_F(Golden, KeepsWhatTheModelWasReadFrom) {
  const Json models = {{"m", {{"config.json", "c0"}, {"model.safetensors", "c1"}}},
                       {"other", {{"config.json", "c2"}}}};
  bless(folder_, example_case(), both(grpo_stream(3)), {"samebits run c.json", "", {}, models});
  EXPECT_THAT(read_golden(folder_, "c", "a").files,
              ElementsAre(Pair("config.json", "c0"), Pair("model.safetensors", "c1")));
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

TEST_F(Golden, AnotherVersionIsRefusedWithTheCommandThatMadeIt) {
  bless_stream(grpo_stream(3));
  edit("a.json", "\"format\": 2", "\"format\": 3");
  EXPECT_THAT(message_of<InputError>([&] { check(grpo_stream(3)); }),
              HasSubstr("found version 3 (made by: samebits run c.json), expected version 2"));
}

TEST_F(Golden, AnotherPlatformIsNoPass) {
  bless_stream(grpo_stream(3));
  edit("a.json", "\"platform\": \"sm90\"", "\"platform\": \"sm80\"");
  const GoldenCheck other = check(grpo_stream(3));
  EXPECT_EQ(other.status, Status::kOtherPlatform);
  EXPECT_TRUE(other.is_skipped());
  EXPECT_FALSE(other.fails());
  EXPECT_TRUE(check(grpo_stream(3), {"golden=required"}).fails());
}

TEST_F(Golden, SettingsThatAreNoneAreRefused) {
  bless_stream(grpo_stream(3));
  const std::string text = read(folder_ / "c" / "a.json");
  for (const char* settings :
       {"{}", "[]", "null", R"({"model": "m"})", R"({"model": "m", "numerics": null})",
        R"({"model": "m", "numerics": {}, "workload": {}})"}) {
    Json json = Json::parse(text);
    json["settings"] = Json::parse(settings);
    write(folder_ / "c" / "a.json", json.dump());
    EXPECT_THROW(read_goldens(folder_, "c"), InputError) << settings;
  }
}

TEST_F(Golden, EditedSettingsDoNotDisarmIt) {
  bless_stream(grpo_stream(3));
  edit("a.json", "\"temperature\": 1.0", "\"temperature\": 0.5");
  EXPECT_THAT(message_of<InputError>([&] { check(grpo_stream(3)); }), HasSubstr("settings_digest"));
}

TEST_F(Golden, EditedArmOrStepsDoNotDisarmIt) {
  bless_stream(grpo_stream(3));
  const std::string before = read(folder_ / "c" / "a.json");
  edit("a.json", "\"arm\": \"a\"", "\"arm\": \"d\"");
  EXPECT_THAT(message_of<InputError>([&] { check(grpo_stream(3)); }),
              HasSubstr("a.json: arm: found \"d\" (made by: samebits run c.json), expected \"a\""));
  write(folder_ / "c" / "a.json", before);
  edit("a.json", "\"steps\": 3,\n  \"settings_digest\"", "\"steps\": 1,\n  \"settings_digest\"");
  EXPECT_THAT(message_of<InputError>([&] { check(grpo_stream(3)); }),
              HasSubstr("a.json: steps: found 1 (made by: samebits run c.json), expected 3"));
}

TEST_F(Golden, StreamAloneIsRefusedAndBlessedAgain) {
  bless_stream(grpo_stream(3));
  std::filesystem::remove(folder_ / "c" / "a.json");
  EXPECT_THAT(message_of<InputError>([&] { check(grpo_stream(3)); }),
              HasSubstr("a.jsonl: found a stream alone, expected a.json beside it"));
  bless_stream(grpo_stream(3));
  EXPECT_EQ(check(grpo_stream(3)).status, Status::kEqual);
}

TEST_F(Golden, NanInGoldenAndRunIsNoAgreement) {
  bless_stream(grpo_stream(3));
  ::samebits::Golden golden = read_golden(folder_, "c", "a");
  std::vector<Observation> stream = grpo_stream(3);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  stream.at(testing::at_site(stream, 1, "loss")) = scalar(1, "train", "loss", nan);
  golden.observations = condense(recording("a", stream));
  write_golden(folder_, "c", golden);
  const GoldenCheck checked = check(stream);
  EXPECT_EQ(checked.status, Status::kDifferent);
  EXPECT_EQ(checked.text, "golden and run are both NaN or infinite at step 1, loss");
  EXPECT_EQ(check(stream, {"nonfinite=accept"}).status, Status::kEqual);
}

TEST_F(Golden, ArmsThatARelationTiesShareOne) {
  bless_stream(grpo_stream(3));
  EXPECT_THAT(golden_names(folder_, "c"), ElementsAre("a"));
  const Case c = example_case();
  const std::vector<::samebits::Golden> goldens = read_goldens(folder_, "c");
  EXPECT_EQ(check_golden(goldens, c, c.arm("b"), recording("b", grpo_stream(3))).status,
            Status::kEqual);
  const GoldenCheck changed =
      check_golden(goldens, c, c.arm("b"), recording("b", nudged(grpo_stream(3), 1, "loss")));
  EXPECT_EQ(changed.status, Status::kDifferent);
  const Case other = example_case({"b.mesh.tp=4"});
  EXPECT_EQ(check_golden(goldens, other, other.arm("b"), recording("b", grpo_stream(3))).status,
            Status::kOtherSettings);
}

TEST_F(Golden, GoldenFromBeforeAKeyExistedIsReadWithItsDefault) {
  bless_stream(grpo_stream(3));
  ::samebits::Golden golden = read_golden(folder_, "c", "a");
  for (auto& [arm, settings] : golden.settings) settings["workload"].erase("advantage");
  write_golden(folder_, "c", golden);
  EXPECT_EQ(check(grpo_stream(3)).status, Status::kEqual);
  EXPECT_EQ(check(grpo_stream(3), {"workload.advantage.temperature=0.2"}).status,
            Status::kOtherSettings);
}

TEST_F(Golden, SitesThatItDoesNotHoldAreCountedAndNotCompared) {
  bless_stream(grpo_stream(3));
  std::vector<Observation> more = grpo_stream(3);
  more.push_back(scalar(2, "sync", "weights_arrived", 1));
  const GoldenCheck checked = check(more);
  EXPECT_EQ(checked.status, Status::kEqual);
  EXPECT_THAT(checked.text, HasSubstr("; 1 that the golden does not hold not compared"));
  // A site of a kind that it does hold is compared, and one that it holds must be there.
  more = grpo_stream(3);
  more.push_back(scalar(2, "train", "loss", 1));
  EXPECT_EQ(check(more).status, Status::kDifferent);
  more = grpo_stream(3);
  more.erase(more.begin() + static_cast<std::ptrdiff_t>(testing::at_site(more, 1, "kl")));
  EXPECT_EQ(check(more).status, Status::kDifferent);
}

TEST_F(Golden, BlessingThatWasCutOffIsBlessedAgain) {
  bless_stream(grpo_stream(3));
  const std::vector<Observation> changed = nudged(grpo_stream(3), 2, "loss");
  std::string stream;
  for (const Observation& each : condense(recording("a", changed))) {
    stream += line_from_observation(each) + "\n";
  }
  write(folder_ / "c" / "a.jsonl", stream);  // killed before the provenance was written
  EXPECT_THAT(message_of<InputError>([&] { bless_stream(changed); }), HasSubstr("--reason"));
  bless_stream(changed, "again");
  EXPECT_EQ(check(changed).status, Status::kEqual);
}

TEST_F(Golden, RecordingThatProvesNothingIsNotBlessed) {
  const Case c = example_case();
  std::vector<ArmRecording> arms = both(grpo_stream(3));
  arms[1].steps.pop_back();
  EXPECT_THAT(message_of<InputError>([&] {
                bless(folder_, c, arms, {"x", "", {}});
              }),
              HasSubstr("arm b: found its steps.jsonl has no record of step 2"));
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
  EXPECT_THAT(bless_stream(grpo_stream(3)), ElementsAre("a = b: unchanged"));
  const std::vector<Observation> changed = nudged(grpo_stream(3), 2, "loss");
  EXPECT_THAT(message_of<InputError>([&] { bless_stream(changed); }), HasSubstr("--reason"));
  EXPECT_EQ(read(folder_ / "c" / "a.jsonl"), before);
  const std::vector<std::string> lines = bless_stream(changed, "a better exp");
  EXPECT_THAT(lines[0], HasSubstr("first changed: step 2, train, loss"));
  EXPECT_THAT(lines[0], HasSubstr("(a better exp)"));
  EXPECT_EQ(check(changed).status, Status::kEqual);
}

TEST_F(Golden, LosingATiedArmNeedsAReason) {
  bless_stream(grpo_stream(3));
  const auto bless_a_alone = [&](const std::string& reason) {
    return bless(folder_, select_arms(example_case(), {"a"}), {recording("a", grpo_stream(3))},
                 {"x", reason, {}});
  };
  EXPECT_THAT(message_of<InputError>([&] { bless_a_alone(""); }),
              HasSubstr("arm a: found a golden that would change (b is tied to it no more)"));
  EXPECT_THAT(bless_a_alone("b is gone"), ElementsAre("a: b is tied to it no more (b is gone)"));
}

// An arm that is blessed alone leaves the golden that it was tied to, or an old one would be compared.
TEST_F(Golden, AnArmHasOneGolden) {
  bless_stream(grpo_stream(3));
  const std::vector<Observation> changed = nudged(grpo_stream(3), 1, "loss");
  const Case c = example_case();
  const auto bless_b_alone = [&](const std::string& reason) {
    return bless(folder_, select_arms(c, {"b"}), {recording("b", changed)}, {"x", reason, {}});
  };
  EXPECT_THAT(message_of<InputError>([&] { bless_b_alone(""); }), HasSubstr("--reason"));
  bless_b_alone("another layout");
  const auto status = [&](const char* arm, const std::vector<Observation>& stream) {
    return check_golden(read_goldens(folder_, "c"), c, c.arm(arm), recording(arm, stream)).status;
  };
  EXPECT_EQ(status("b", changed), Status::kEqual);
  EXPECT_EQ(status("b", grpo_stream(3)), Status::kDifferent);
  EXPECT_EQ(status("a", grpo_stream(3)), Status::kEqual);

  auto twice = read_golden(folder_, "c", "b");
  twice.name = "d";
  twice.settings = {{"d", *twice.settings_of("b")}, {"b", *twice.settings_of("b")}};
  write_golden(folder_, "c", twice);
  EXPECT_THAT(message_of<InputError>([&] { read_goldens(folder_, "c"); }),
              HasSubstr("d.json: found arm b, which b.json holds too"));
}

// The bits are those of b, so that only the tie is lost.
TEST_F(Golden, LeavingATieNeedsAReasonToo) {
  bless_stream(grpo_stream(3));
  EXPECT_THAT(message_of<InputError>([&] {
                bless(folder_, select_arms(example_case(), {"b"}), {recording("b", grpo_stream(3))},
                      {"x", "", {}});
              }),
              HasSubstr("b is tied to a no more"));
}

TEST_F(Golden, ARunThatGoesOnWhereItsGoldenEndsIsNotEqualToIt) {
  bless_stream(grpo_stream(3));
  const GoldenCheck longer = check(grpo_stream(4), {"steps=4"});
  EXPECT_EQ(longer.status, Status::kFewerSteps);
  EXPECT_TRUE(longer.is_skipped());
  EXPECT_FALSE(longer.fails());
  EXPECT_THAT(longer.text, HasSubstr("not compared over the other 1"));
  EXPECT_TRUE(check(grpo_stream(4), {"steps=4", "golden=required"}).fails());
  EXPECT_FALSE(check(grpo_stream(3), {"golden=required"}).fails());
  EXPECT_EQ(check(nudged(grpo_stream(4), 0, "loss"), {"steps=4"}).status, Status::kDifferent);
}

TEST_F(Golden, WhatStandsInThePlaceOfTheFolderIsRefused) {
  write(folder_ / "c", "");
  EXPECT_THAT(message_of<InputError>([&] { check(grpo_stream(3)); }), HasSubstr("found no folder"));
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
  EXPECT_THAT(sites, ElementsAre("completion[*]", "logprob[*]", "reward[*]", "completion[*]",
                                 "logprob[*]", "reward[*]", "reward_mean", "logprob[*]", "loss",
                                 "kl", "grad_norm", "norm.weight", "output.weight",
                                 "generator.before[*]", "generator.after[*]", "trainer.after[*]"));
}

}  // namespace
}  // namespace samebits
