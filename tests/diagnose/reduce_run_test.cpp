#include "harness/diagnose/reduce_run.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "tests/diagnose/support.h"
#include "tests/support/message_of.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::kBrokenSync;
using testing::kOtherRounding;
using testing::message_of;

class ReduceRun : public testing::Diagnosis {
 protected:
  ReduceOptions reduction(Existing existing = Existing::kRefuse) const {
    return {options().out, folder_ / "reduced", existing};
  }
  static ReducedRun reduce(const ReduceOptions& options) {
    Progress silent = Progress::silent();
    return reduce_run(options, silent);
  }
  // The least case, from a copy of its folder in which nothing of the run is left.
  ReportRecord run_elsewhere(const fs::path& folder) {
    const fs::path copy = folder_ / "elsewhere";
    fs::copy(folder, copy, fs::copy_options::recursive);
    fs::remove_all(options().out);
    RunOptions where = options();
    where.out = folder_ / "again";
    return run(load_case(copy / "case.json"), where);
  }
};

TEST_F(ReduceRun, OfArmsThatDifferLeavesTheLeastCaseThatStandsAlone) {
  ended(kOtherRounding);
  const ReducedRun reduced = reduce(reduction());
  ASSERT_TRUE(reduced.is_reduced()) << reduced.text();
  EXPECT_TRUE(reduced.reduced.is_least);
  EXPECT_EQ(reduced.of_least.count(), "always, in 5 runs");
  const Json& arm = reduced.reduced.least.settings.at("arms").at("b");
  EXPECT_EQ(arm.at("workload").at("prompts").size(), 1u);
  EXPECT_EQ(arm.at("workload").at("max_new_tokens"), 1);
  EXPECT_EQ(reduced.reduced.least.model_sizes.at("num_hidden_layers"), 1);
  EXPECT_THAT(read(folder_ / "reduced/README.md"), HasSubstr("differ at layers.attention_norm"));
  EXPECT_THAT(read(folder_ / "reduced/issue.md"), HasSubstr("\"fused_rounding\": true"));
  const ReportRecord record = run_elsewhere(folder_ / "reduced");
  EXPECT_FALSE(record.holds);
  ASSERT_FALSE(record.failures.empty());
  EXPECT_EQ(record.failures.front().title, "a and b diverge");
}

TEST_F(ReduceRun, OfAnArmThatIsOffPolicyKeepsItsTwoSteps) {
  ended(kBrokenSync);
  const ReducedRun reduced = reduce(reduction());
  ASSERT_TRUE(reduced.is_reduced()) << reduced.text();
  const Json& arms = reduced.reduced.least.settings.at("arms");
  EXPECT_EQ(arms.size(), 1u);
  EXPECT_EQ(arms.at("a").at("steps"), 2);
  EXPECT_EQ(arms.at("a").at("workload").at("sync"), "never");
}

TEST_F(ReduceRun, OfAGreenRunFindsNothing) {
  ended({});
  const ReducedRun reduced = reduce(reduction());
  EXPECT_FALSE(reduced.failure);
  EXPECT_FALSE(fs::exists(folder_ / "reduced"));
}

TEST_F(ReduceRun, RefusesAFolderOfSomethingElseAndTakesUpItsOwn) {
  ended(kOtherRounding);
  write(folder_ / "reduced/mine.txt", "kept");
  EXPECT_THAT(message_of<InputError>([&] { reduce(reduction(Existing::kReplace)); }),
              HasSubstr("other files"));
  EXPECT_THAT(message_of<InputError>([&] { reduce(reduction(Existing::kResume)); }),
              HasSubstr("journal.jsonl"));
  EXPECT_EQ(read(folder_ / "reduced/mine.txt"), "kept");
  fs::remove_all(folder_ / "reduced");

  ReduceOptions brief = reduction();
  brief.time_limit_s = 1e-9;
  const ReducedRun cut_off = reduce(brief);
  EXPECT_FALSE(cut_off.reduced.is_least);
  EXPECT_TRUE(cut_off.is_reduced());  // the run's own arms, up to the step that fails
  EXPECT_THROW(reduce(reduction()), InputError);
  ReduceOptions some = reduction(Existing::kResume);
  some.time_limit_s = 2;
  const ReducedRun more = reduce(some);
  EXPECT_TRUE(more.is_reduced());
  EXPECT_GE(more.reduced.tried, cut_off.reduced.tried);
}

}  // namespace
}  // namespace samebits
