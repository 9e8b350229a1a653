#include "repro/catalogue/upstream_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/error.h"
#include "repro/catalogue/catalogue.h"
#include "tests/support/scratch.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::SizeIs;

class UpstreamTableTest : public testing::Scratch {
 protected:
  std::string refusal(const std::string& text) const {
    write(folder_ / "README.md", text);
    return message_of<InputError>([&] { read_upstream_table(folder_ / "README.md"); });
  }
};

TEST_F(UpstreamTableTest, IsReadAsItWasWritten) {
  const std::vector<UpstreamRow> rows{
      {"ceil", {"2.11.0+cu130", "live", "rows: 2*(((s77 + 1)//2)) | at s77 = 1"}},
      {"order", {"2.11.0+cu130", "not applicable", ""}},
      {"ceil", {"2.15.0+cu132", "fixed", "rows: s77"}}};
  write(folder_ / "README.md", "# Title\n\n" + upstream_table(rows) + "\nAfter | the table.\n");
  const auto read_back = read_upstream_table(folder_ / "README.md");
  ASSERT_THAT(read_back, SizeIs(rows.size()));
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(read_back[i].repro, rows[i].repro);
    EXPECT_EQ(read_back[i].state.torch, rows[i].state.torch);
    EXPECT_EQ(read_back[i].state.state, rows[i].state.state);
    EXPECT_EQ(read_back[i].state.evidence, rows[i].state.evidence);
  }
  const auto states = states_of("ceil", read_back);
  ASSERT_THAT(states, SizeIs(2));
  EXPECT_EQ(states[1].state, "fixed");
}

TEST_F(UpstreamTableTest, ARowThatIsNoneIsNamedByItsLine) {
  const std::string head = "# Title\n\n" + upstream_table({});
  for (const char* row : {"| ceil | 2.11.0 | lives | `2` |", "| ceil | 2.11.0 | live | 2 |",
                          "| ceil | 2.11.0 | live |", "| ceil"}) {
    EXPECT_THAT(refusal(head + "| a | 2.11.0 | live | `1` |\n" + row + "\n"),
                AllOf(HasSubstr("README.md:6: found \"| ceil"), HasSubstr("not applicable")))
        << row;
  }
  EXPECT_THAT(refusal("# Title\n"), HasSubstr("found no table of states"));
}

TEST(UpstreamTable, EveryRowThatIsCommittedIsOfAReproWithAScript) {
  const std::filesystem::path root(source_path(""));
  const auto rows = read_upstream_table(root / "reports/upstream/README.md");
  EXPECT_FALSE(rows.empty());
  for (const UpstreamRow& row : rows) {
    EXPECT_NO_THROW(find_repro(row.repro));
    EXPECT_TRUE(std::filesystem::exists(root / "repro" / row.repro / "upstream.py")) << row.repro;
  }
}

}  // namespace
}  // namespace samebits
