#include "harness/run/origin.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "harness/base/json_difference.h"
#include "tests/run/support.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using Origin = testing::Run;

TEST_F(Origin, IsTheSameOfTheSameAndNamesWhatChanged) {
  model_ = copy_of_model();
  const Json before = origin_of(small_case(), Level::kStep);
  EXPECT_EQ(before, origin_of(small_case(), Level::kStep));
  EXPECT_EQ(first_difference(before, origin_of(small_case(), Level::kOp))->key, "level");
  flip_bit(model_ / "model.safetensors", 1000);
  EXPECT_THAT(first_difference(before, origin_of(small_case(), Level::kStep))->key,
              HasSubstr("model.safetensors"));
}

TEST_F(Origin, HasTheGraphsAndTokensThatArmsRead) {
  const std::string graph = folder_ / "graph.json";
  const std::string tokens = folder_ / "tokens.json";
  const auto origin = [&] {
    const Case c = small_case({"a.generator=captured", "a.graph=" + graph, "b.workload.name=train",
                               "b.workload.tokens=" + tokens, "relations=[]"});
    return origin_of(c, Level::kStep);
  };
  write(graph, "{}");
  write(tokens, "[[1, 2]]");
  const Json before = origin();
  write(graph, "{ }");
  write(tokens, "[[1, 3]]");
  const Json after = origin();
  EXPECT_NE(after.at("graphs").at("a"), before.at("graphs").at("a"));
  EXPECT_NE(after.at("tokens").at("b"), before.at("tokens").at("b"));
  EXPECT_EQ(after.at("models"), before.at("models"));
}

TEST_F(Origin, HasTheProgramAndLibTorch) {
  const Json origin = origin_of(small_case(), Level::kStep);
  EXPECT_EQ(origin.at("samebits").get<std::string>().size(), 32u);
  EXPECT_TRUE(origin.at("libraries").contains("libtorch_cpu.so"));
  EXPECT_NE(origin.at("libraries").at("libtorch_cpu.so"), "unknown");
}

TEST_F(Origin, ModelThatIsNotThereIsRefused) {
  model_ = folder_ / "nosuch";
  EXPECT_THROW(origin_of(small_case(), Level::kStep), InputError);
}

}  // namespace
}  // namespace samebits
