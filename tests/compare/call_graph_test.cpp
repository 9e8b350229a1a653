#include "harness/compare/call_graph.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "tests/base/message_of.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CallGraphFile : public testing::Scratch {
 protected:
  std::string refusal(const std::string& nodes) {
    write(folder_ / "calls.json",
          R"({"a": "a", "b": "b", "place": "p", "nodes": )" + nodes + R"(, "only_in_b": []})");
    return message_of<InputError>([&] { read_call_graph(folder_); });
  }
};

TEST_F(CallGraphFile, IsReadBack) {
  CallGraph graph{"eager", "captured", "step 0, train, loss", {}, {"aten::mul"}};
  graph.nodes.push_back({"", "norm.weight", CallGraph::State::kEqual, {}});
  graph.nodes.push_back({"samebits::rms_norm", "norm#0", CallGraph::State::kDifferent, {0, 0}});
  write_call_graph(folder_, graph);
  const std::optional<CallGraph> read = read_call_graph(folder_);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->b, "captured");
  EXPECT_EQ(read->place, "step 0, train, loss");
  ASSERT_EQ(read->nodes.size(), 2u);
  EXPECT_EQ(read->nodes[0].site, "norm.weight");
  EXPECT_EQ(read->nodes[1].name, "samebits::rms_norm");
  EXPECT_EQ(read->nodes[1].state, CallGraph::State::kDifferent);
  EXPECT_THAT(read->nodes[1].inputs, ElementsAre(0, 0));
  EXPECT_THAT(read->only_in_b, ElementsAre("aten::mul"));
}

TEST_F(CallGraphFile, NoneIsNone) { EXPECT_FALSE(read_call_graph(folder_)); }

TEST_F(CallGraphFile, InputsThatDoNotComeBeforeTheirNodeAreRefused) {
  const std::string first = R"([{"name": "", "site": "x", "state": "equal", "inputs": [)";
  EXPECT_THAT(refusal(first + "0]}]"), HasSubstr("nodes.0.inputs.0"));
  EXPECT_THAT(refusal(first + R"(]}, {"name": "f", "site": "", "state": "equal", "inputs": [1]}])"),
              HasSubstr("nodes.1.inputs.0"));
  EXPECT_THAT(refusal(first + R"(]}, {"name": "f", "site": "", "state": "new", "inputs": []}])"),
              HasSubstr("nodes.1.state"));
  EXPECT_THAT(refusal("[]"), HasSubstr("nodes"));
}

}  // namespace
}  // namespace samebits
