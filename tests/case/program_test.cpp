#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/case/case.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::Not;

const char* const kPrograms = R"({
  "name": "c", "seed": 7, "steps": 3,
  "arms": {"a": {"command": ["python3", "train.py", "--out", "{out}", "--steps", "{steps}"],
                 "env": {"LEVEL": "{level}"}, "cwd": "../work", "repeat": 2, "timeout_s": 9},
           "b": {"recorded": "../runs/b"}}})";

Case read_programs(const std::vector<std::string>& overrides = {}) {
  return parse_case(kPrograms, "cases/c.json", overrides);
}

std::string program_error(const std::vector<std::string>& overrides) {
  return message_of<InputError>([&] { read_programs(overrides); });
}

TEST(ProgramArms, HaveTheirKeysAndWhatTheyInherit) {
  const Case c = read_programs();
  EXPECT_EQ(c.model, "");
  const CaseArm& a = c.arm("a");
  EXPECT_TRUE(a.is_program());
  EXPECT_FALSE(is_contracted(a));
  EXPECT_TRUE(programs_of(a).empty());
  EXPECT_EQ(a.seed, 7);
  EXPECT_EQ(a.steps, 3);
  EXPECT_EQ(a.timeout_s, 9);
  EXPECT_EQ(a.program.command.size(), 6u);
  EXPECT_EQ(a.program.env.at("LEVEL"), "{level}");
  EXPECT_EQ(a.program.cwd, "work");
  EXPECT_EQ(a.program.repeat, 2);
  EXPECT_EQ(c.arm("b").program.recorded, "runs/b");
}

TEST(ProgramArms, AreStartedInTheFolderOfTheCaseByDefault) {
  const char* text = R"({"name": "c", "arms": {"a": {"command": ["x", "{out}"]}}})";
  EXPECT_EQ(parse_case(text, "cases/c.json").arms[0].program.cwd, "cases");
  EXPECT_EQ(parse_case(text, "c.json").arms[0].program.cwd, ".");
}

TEST(ProgramArms, OfACommitAreStartedInItsCheckout) {
  const char* text = R"({"name": "c", "arms": {"a": {
      "commit": "HEAD~3", "repository": "../work", "build": ["make", "PREFIX={checkout}"],
      "command": ["./train", "{out}"], "cwd": "tools"}}})";
  ProgramSettings program = parse_case(text, "cases/c.json").arms[0].program;
  EXPECT_TRUE(program.is_of_commit());
  EXPECT_EQ(program.commit, "HEAD~3");
  EXPECT_EQ(program.repository, "work");
  EXPECT_THAT(program.build, ElementsAre("make", "PREFIX={checkout}"));
  program.checkout = "/checkout";
  EXPECT_EQ(program.working_folder(), "/checkout/tools");
  const char* bare = R"({"name": "c", "arms": {"a": {"commit": "v1", "command": ["x", "{out}"]}}})";
  program = parse_case(bare, "cases/c.json").arms[0].program;
  EXPECT_EQ(program.repository, "cases");
  EXPECT_EQ(program.cwd, "");
  EXPECT_FALSE(read_programs().arm("a").program.is_of_commit());
}

TEST(ProgramArms, OfACommitSayNothingThatHasNoEffect) {
  const auto error = [](const std::string& arm) {
    return message_of<InputError>(
        [&] { parse_case(R"({"name": "c", "arms": {"a": )" + arm + "}}", "cases/c.json"); });
  };
  EXPECT_THAT(error(R"({"build": ["make"], "command": ["x", "{out}"]})"),
              HasSubstr("found build without a commit"));
  EXPECT_THAT(error(R"({"repository": "r", "command": ["x", "{out}"]})"),
              HasSubstr("found repository without a commit"));
  EXPECT_THAT(error(R"({"command": ["x", "{out}", "{checkout}"]})"),
              HasSubstr("found {checkout} without a commit"));
  EXPECT_THAT(error(R"({"commit": "v1", "command": ["x", "{out}"], "cwd": "/tmp"})"),
              HasSubstr("expected a folder in the checkout"));
  EXPECT_THAT(error(R"({"commit": "-1", "command": ["x", "{out}"]})"),
              HasSubstr("expected a revision of the repository"));
  EXPECT_THAT(error(R"({"commit": "v1", "recorded": "r"})"),
              HasSubstr("found commit beside recorded"));
}

TEST(ProgramArms, AreToldWhatTheirWordsSay) {
  const ProgramSettings program = read_programs().arm("a").program;
  EXPECT_TRUE(program.is_told(ProgramSettings::kOut));
  EXPECT_TRUE(program.is_told(ProgramSettings::kSteps));
  EXPECT_TRUE(program.is_told(ProgramSettings::kLevel));  // in the environment
  EXPECT_FALSE(program.is_told(ProgramSettings::kSeed));
}

TEST(ProgramArms, AWordThatIsNearlyOneIsRefused) {
  const auto error = [](const std::string& word) {
    return program_error({R"(a.command=["x","{out}",")" + word + "\"]"});
  };
  EXPECT_THAT(error("--steps={step}"),
              HasSubstr("arms.a.command.2: found the word {step}, expected one of \"{out}\", "
                        "\"{level}\", \"{steps}\", \"{seed}\", \"{keep}\", \"{keep_bytes}\", "
                        "\"{checkout}\" (did you mean \"{steps}\"?)"));
  EXPECT_THAT(error("{levle}"), HasSubstr("did you mean \"{level}\""));
  EXPECT_THAT(program_error({R"(a.env={"A":"{sed}"})"}), HasSubstr("arms.a.env: found the word"));
  // Shells, Python, JSON and the patterns of others have braces too.
  for (const char* word : {"${step}", "{}", "{name}", "{end}", "{Step}", "{step:03}", "{step",
                           "print(f'{step}')", "{'step'}", R"({\"step\": 1})"}) {
    EXPECT_NO_THROW(read_programs({R"(a.command=["x","{out}",")" + std::string(word) + "\"]"}))
        << word;
  }
}

TEST(ProgramArms, AreWrittenWithoutWhatSaysNothingToThem) {
  const std::string canonical = canonical_json(read_programs());
  EXPECT_THAT(canonical, Not(HasSubstr("workload")));
  EXPECT_THAT(canonical, Not(HasSubstr("\"model\"")));
  const Case again = parse_case(canonical, "cases/c.json");
  EXPECT_EQ(canonical_json(again), canonical);
  EXPECT_EQ(again.arm("a").program.command, read_programs().arm("a").program.command);
  EXPECT_EQ(again.arm("a").program.env, read_programs().arm("a").program.env);
}

TEST(ProgramArms, StandBesideArmsThatAreRunHere) {
  const Case c = read_programs({"model=m", "arms.c={}", "mesh.tp=2"});
  EXPECT_FALSE(c.arm("c").is_program());
  EXPECT_EQ(c.arm("c").mesh.tp, 2);
  EXPECT_TRUE(c.arm("a").is_program());
}

TEST(ProgramArms, MayWriteOrPrintALog) {
  const Case c = read_programs({"a.observations=logs/metrics.csv", R"(a.log={"step": "it"})",
                                R"(b.log={"pattern": "x", "only": "loss", "format": "text"})"});
  EXPECT_EQ(c.arm("a").program.observations, "logs/metrics.csv");  // of no folder but {out}
  EXPECT_EQ(c.arm("a").program.log.step, "it");
  EXPECT_EQ(c.arm("b").program.log.only, "loss");
  EXPECT_EQ(canonical_json(parse_case(canonical_json(c), "cases/c.json")), canonical_json(c));
  const Case printed = read_programs({"a.observations=-", R"(a.command=["x"])", "a.env={}"});
  EXPECT_EQ(printed.arm("a").program.observations, "-");
}

TEST(ProgramArms, ALogIsWhereTheRunWritesIt) {
  EXPECT_THAT(program_error({"a.observations=/tmp/metrics.csv"}), HasSubstr("a file in {out}"));
  EXPECT_THAT(program_error({"a.observations=a/../../metrics.csv"}), HasSubstr("a file in {out}"));
  EXPECT_THAT(program_error({R"(a.log={"step": "it"})"}), HasSubstr("recorded or observations"));
  EXPECT_THAT(program_error({"b.observations=m.csv"}), HasSubstr("observations beside recorded"));
  EXPECT_THAT(program_error({R"(a.observations=m.csv)", R"(a.log={"stpe": "it"})"}),
              HasSubstr("did you mean \"step\"?"));
}

TEST(ProgramArms, KeepTensorsOnlyWhereTheyAreToldTo) {
  const std::string sites = R"(a.keep={"sites":"mlp"})";
  EXPECT_THAT(program_error({sites}), HasSubstr("{keep} in the command"));
  const std::string told = R"(a.command=["x","{out}","{keep}"])";
  EXPECT_THAT(program_error({told, R"(a.keep={"bytes":4})"}), HasSubstr("sites"));
  EXPECT_THAT(program_error({told, R"(a.keep={"sites":"(mlp"})"}), HasSubstr("a.keep.sites"));
  EXPECT_THAT(program_error({told, sites, "a.observations=m.csv"}), HasSubstr("read from a log"));
}

TEST(ProgramArms, WhatSaysNothingToThemIsRefused) {
  EXPECT_THAT(program_error({"a.mesh={\"tp\":2}"}),
              HasSubstr("arms.a: found mesh in an arm that is"));
  EXPECT_THAT(program_error({"b.repeat=2"}),
              HasSubstr("arms.b.repeat: found repeat beside recorded"));
  EXPECT_THAT(program_error({"a.command=[\"x\"]", "a.env={}"}),
              HasSubstr("nothing would be observed"));
  EXPECT_THAT(program_error({"a.env={\"A=B\":\"\"}"}), HasSubstr("a variable named \"A=B\""));
  EXPECT_THAT(program_error({R"(a.command=["{out}","\u0000"])"}), HasSubstr("without a NUL"));
  EXPECT_THAT(program_error({"arms.c={}"}), HasSubstr("model"));
  EXPECT_THAT(program_error({"model=m", "arms.c={\"cwd\":\".\"}"}),
              HasSubstr("cwd without a command"));
}

}  // namespace
}  // namespace samebits
