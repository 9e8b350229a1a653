#include "harness/report/spread.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/compare/streams.h"

namespace samebits {
namespace {

using testing::recording;
using testing::scalar;
using Cell = OperatorSpread::Cell;

// Two layers of one operator each, in as many calls as asked for, and a loss.
std::vector<Observation> forward_stream(int64_t layers, int64_t calls) {
  std::vector<Observation> stream;
  for (int64_t call = 0; call < calls; ++call) {
    for (int64_t layer = 0; layer < layers; ++layer) {
      stream.push_back(scalar(0, "rollout", "layers." + std::to_string(layer) + ".wo#0",
                              static_cast<float>(call)));
    }
  }
  stream.push_back(scalar(0, "train", "loss", 1));
  return stream;
}

void nudge_at(std::vector<Observation>& stream, size_t i) { testing::nudge(stream[i]); }

TEST(OperatorSpread, RowsAreSitesAndColumnsPassesInProgramOrder) {
  std::vector<Observation> other = forward_stream(2, 3);
  nudge_at(other, 3);  // layer 1 in call 1
  nudge_at(other, 4);  // layer 0 in call 2
  const OperatorSpread spread =
      spread_between(recording("a", forward_stream(2, 3)), recording("b", other), true);
  ASSERT_EQ(spread.rows.size(), 3u);
  EXPECT_EQ(spread.rows[1].name, "layers.1.wo");
  EXPECT_EQ(spread.rows[2].name, "loss");
  ASSERT_EQ(spread.columns.size(), 4u);
  EXPECT_EQ(spread.columns[2].call, 2);
  EXPECT_EQ(spread.columns[3].phase, "train");
  const std::vector<Cell> cells = {
      Cell::kEqual, Cell::kEqual,     Cell::kAllDiffer, Cell::kEmpty,  //
      Cell::kEqual, Cell::kAllDiffer, Cell::kEqual,     Cell::kEmpty,  //
      Cell::kEmpty, Cell::kEmpty,     Cell::kEmpty,     Cell::kEqual};
  EXPECT_EQ(spread.cells, cells);
  EXPECT_EQ(spread.born_row, 1u);
  EXPECT_EQ(spread.born_column, 1u);
  EXPECT_EQ(spread.born, "step 0, rollout, layers.1.wo#0");
  EXPECT_EQ(spread.rows[1].different, 1);
  EXPECT_EQ(spread.rows[1].compared, 3);
}

TEST(OperatorSpread, EqualArmsDoNotDiffer) {
  const OperatorSpread spread = spread_between(recording("a", forward_stream(2, 3)),
                                               recording("b", forward_stream(2, 3)), true);
  EXPECT_FALSE(spread.differs());
  EXPECT_TRUE(spread.has_operators);
  EXPECT_EQ(std::count(spread.cells.begin(), spread.cells.end(), Cell::kAllDiffer), 0);
}

TEST(OperatorSpread, AValueThatDiffersIsBornBeforeWhatOneArmAloneHas) {
  std::vector<Observation> other = forward_stream(1, 1);
  other.insert(other.begin(), scalar(0, "rollout", "layers.0.extra#0", 1));
  nudge_at(other, 2);
  const OperatorSpread spread =
      spread_between(recording("a", forward_stream(1, 1)), recording("b", other), true);
  EXPECT_EQ(spread.born, "step 0, train, loss");
  EXPECT_EQ(spread.rows[0].only_one, 1);
  EXPECT_EQ(spread.cells[0], Cell::kOnlyOne);
}

TEST(OperatorSpread, OperatorsAreLeftOutWhereTheWorkIsCutDifferently) {
  std::vector<Observation> other = forward_stream(2, 3);
  nudge_at(other, 0);
  const OperatorSpread spread =
      spread_between(recording("a", forward_stream(2, 3)), recording("b", other), false);
  EXPECT_FALSE(spread.differs());
  EXPECT_FALSE(spread.has_operators);
  ASSERT_EQ(spread.rows.size(), 1u);
}

TEST(OperatorSpread, EachRankHasItsCount) {
  ArmRecording a = recording("a", forward_stream(1, 2));
  ArmRecording b = a;
  for (ArmRecording* each : {&a, &b}) {
    each->ranks.push_back(each->ranks[0]);
    for (Observation& seen : each->ranks[1].observations) seen.rank = 1;
  }
  Observation& moved = b.ranks[1].observations[1];
  moved = observe_float32(0, "rollout", 1, moved.site, 7);
  const OperatorSpread spread = spread_between(a, b, true);
  ASSERT_EQ(spread.ranks.size(), 2u);
  EXPECT_EQ(spread.ranks[0].different, 0);
  EXPECT_EQ(spread.ranks[1].different, 1);
  EXPECT_EQ(spread.born, "step 0, rollout, rank 1, layers.0.wo#0");
  EXPECT_EQ(spread.cells[1], Cell::kSomeDiffer);  // of one rank alone
}

TEST(OperatorSpread, IsBoundedAndLosesNoDifference) {
  std::vector<Observation> other = forward_stream(150, 300);
  nudge_at(other, 150 * 299 + 149);  // the last layer in the last call
  const OperatorSpread spread =
      spread_between(recording("a", forward_stream(150, 300)), recording("b", other), true);
  EXPECT_EQ(spread.rows.size(), OperatorSpread::kMostRows);
  EXPECT_EQ(spread.columns.size(), OperatorSpread::kMostColumns);
  EXPECT_EQ(std::count(spread.cells.begin(), spread.cells.end(), Cell::kSomeDiffer), 1);
  EXPECT_TRUE(spread.differs());
}

// Forty layers of three operators each, and of two weights.
std::vector<Observation> deep_stream() {
  std::vector<Observation> stream;
  for (int64_t layer = 0; layer < 40; ++layer) {
    const std::string name = "layers." + std::to_string(layer);
    for (const char* op : {".wq#0", ".wo#0", ".w2#0"}) {
      stream.push_back(scalar(0, "rollout", name + op, 1));
    }
    for (const char* weight : {".wq.weight", ".wo.weight"}) {
      stream.push_back(scalar(0, "weights", name + weight, 1));
    }
  }
  return stream;
}

TEST(OperatorSpread, TheLayerOfTheBirthKeepsItsOperators) {
  std::vector<Observation> other = deep_stream();
  nudge_at(other, 5 * 7 + 1);  // layers.7.wo
  const OperatorSpread spread =
      spread_between(recording("a", deep_stream()), recording("b", other), true);
  EXPECT_LE(spread.rows.size(), OperatorSpread::kMostRows);
  ASSERT_TRUE(spread.born_row);
  EXPECT_EQ(spread.rows[*spread.born_row].name, "layers.7.wo");
  const auto has_row = [&](const std::string& name) {
    return std::any_of(spread.rows.begin(), spread.rows.end(),
                       [&](const auto& row) { return row.name == name; });
  };
  EXPECT_TRUE(has_row("layers.7.wq"));
  EXPECT_FALSE(has_row("layers.8.wq"));
}

}  // namespace
}  // namespace samebits
