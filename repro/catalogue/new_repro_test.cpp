#include "repro/catalogue/new_repro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/error.h"
#include "harness/compare/verdict.h"
#include "tests/report/run.h"

namespace samebits {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::Not;

class NewReproTest : public testing::Scratch {
 protected:
  // A run of eager and captured-tp2, with its verdicts; where they part, in the loss of step 1.
  std::filesystem::path recorded(bool parts) const {
    const std::filesystem::path folder = folder_ / "run";
    testing::RunOptions options;
    if (parts) options.captured = testing::nudged(testing::grpo_stream(3), 1, "loss", 7);
    testing::write_run(folder, options);
    Manifest manifest = *read_manifest(folder);
    std::vector<ArmRecording> recordings;
    for (const char* arm : {"eager", "captured-tp2", "fused"}) {
      recordings.push_back(read_arm(folder / arm));
    }
    for (const Verdict& verdict : judge_case(testing::run_case(), recordings)) {
      manifest.verdicts.push_back(json_from_verdict(verdict));
    }
    write_manifest(folder, manifest);
    return folder;
  }

  std::string refusal(const std::string& name, const std::filesystem::path& run) const {
    return message_of<InputError>([&] { new_repro(name, run, folder_ / "repro"); });
  }
};

TEST_F(NewReproTest, LaysAFolderWithTheFactsOfTheRun) {
  const std::filesystem::path run = recorded(/*parts=*/true);
  const std::filesystem::path folder = new_repro("tp2_loss", run, folder_ / "repro");
  EXPECT_EQ(folder, folder_ / "repro" / "tp2_loss");
  for (const char* file : {"README.md", "issue.md"}) {
    const std::string text = read(folder / file);
    EXPECT_THAT(text,
                AllOf(HasSubstr("step 1"), HasSubstr("`loss`"), HasSubstr("7 ULP"),
                      HasSubstr("mesh.tp: 1 against 2"),
                      HasSubstr("generator: \"eager\" against \"captured\""),
                      HasSubstr("samebits run cases/grpo-tiny.json"),
                      HasSubstr("samebits compare " + (run / "eager").string()), HasSubstr("EPYC"),
                      HasSubstr("not looked for"), HasSubstr("Not known yet")))
        << file;
    EXPECT_THAT(text, Not(HasSubstr("fused")));
  }
  EXPECT_THAT(read(folder / "README.md"),
              AllOf(HasSubstr("# tp2_loss\n"), HasSubstr("grpo-tiny"), HasSubstr("bit_exact"),
                    HasSubstr("**No script for stock torch.**")));
  EXPECT_THAT(read(folder / "repro.h"), HasSubstr("\nRepro tp2_loss();\n"));
  EXPECT_THAT(read(folder / "repro.cpp"),
              AllOf(HasSubstr("#include \"repro/tp2_loss/repro.h\"\n"),
                    HasSubstr("\nSAMEBITS_REPRO(tp2_loss);\n"), Not(HasSubstr("NAME"))));
}

TEST_F(NewReproTest, ARunWithoutADivergenceIsRefused) {
  EXPECT_THAT(refusal("tp2_loss", recorded(/*parts=*/false)), HasSubstr("found no divergence"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "repro"));
}

TEST_F(NewReproTest, ARunThatWasCutOffIsRefused) {
  testing::RunOptions options;
  options.has_manifest = false;
  testing::write_run(folder_ / "cut", options);
  EXPECT_THAT(refusal("tp2_loss", folder_ / "cut"), HasSubstr("no manifest.json"));
}

TEST_F(NewReproTest, AFolderThatExistsIsNotWrittenOver) {
  const std::filesystem::path run = recorded(/*parts=*/true);
  write(folder_ / "repro" / "tp2_loss" / "mine.txt", "mine");
  EXPECT_THAT(refusal("tp2_loss", run), HasSubstr("does not write over one"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "repro" / "tp2_loss" / "README.md"));
}

TEST_F(NewReproTest, ANameThatIsNoFolderNameIsRefused) {
  const std::filesystem::path run = recorded(/*parts=*/true);
  for (const char* name : {"", "Tp2", "a-b", "../up", "a b", "2tp"}) {
    EXPECT_THAT(refusal(name, run), HasSubstr("a name of a-z, 0-9 and _")) << name;
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "repro"));
}

}  // namespace
}  // namespace samebits
