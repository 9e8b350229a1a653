#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <set>

#include "harness/compare/divergence.h"
#include "tests/compare/streams.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using testing::scalar;

constexpr auto kAbsent = std::nullopt;

bool is_at_one_place(const Observation& a, const Observation& b) {
  return a.step == b.step && a.phase == b.phase && a.rank == b.rank && a.site == b.site;
}

int64_t times_before(const std::vector<Observation>& stream, size_t index) {
  int64_t times = 0;
  for (size_t i = 0; i < index; ++i) times += is_at_one_place(stream[i], stream[index]);
  return times;
}

// By looking at every pair.
std::optional<size_t> partner_of(const std::vector<Observation>& a, size_t index,
                                 const std::vector<Observation>& b) {
  for (size_t i = 0; i < b.size(); ++i) {
    if (is_at_one_place(a[index], b[i]) && times_before(a, index) == times_before(b, i)) return i;
  }
  return std::nullopt;
}

// Few places, so that they repeat.
std::vector<Observation> random_stream(std::mt19937& random, size_t size) {
  std::vector<Observation> stream;
  for (size_t i = 0; i < size; ++i) {
    stream.push_back(scalar(random() % 2, random() % 2 ? "train" : "log",
                            random() % 2 ? "loss" : "norm", static_cast<float>(random() % 3)));
  }
  return stream;
}

TEST(Align, PairsByPlaceAndOccurrence) {
  std::mt19937 random(11);
  for (int round = 0; round < 400; ++round) {
    std::vector<Observation> a = random_stream(random, random() % 12);
    std::vector<Observation> b = a;
    if (round % 4 == 0) b = random_stream(random, random() % 12);
    if (round % 4 == 1 && !b.empty()) b.erase(b.begin() + static_cast<int>(random() % b.size()));
    if (round % 4 == 2)
      b.insert(b.begin() + static_cast<int>(random() % (b.size() + 1)), scalar(9, "x", "y", 1));
    const auto in_order = [](const Observation& x, const Observation& y) {
      return x.step < y.step;
    };
    if (round % 8 > 3) {  // as programs write them: step by step
      std::stable_sort(a.begin(), a.end(), in_order);
      std::stable_sort(b.begin(), b.end(), in_order);
    }
    size_t next_a = 0;
    std::set<size_t> seen_b;
    for (const auto& [in_a, in_b] : align(a, b)) {
      if (in_b) EXPECT_TRUE(seen_b.insert(*in_b).second);
      if (!in_a) {
        EXPECT_EQ(partner_of(b, *in_b, a), std::nullopt);
        continue;
      }
      EXPECT_EQ(*in_a, next_a++);
      EXPECT_EQ(in_b, partner_of(a, *in_a, b));
    }
    EXPECT_EQ(next_a, a.size());
    EXPECT_EQ(seen_b.size(), b.size());
  }
}

TEST(Align, WhatOnlyTheSecondHasFollowsWhatItFollowedThere) {
  const std::vector<Observation> a = {scalar(0, "log", "a", 1), scalar(0, "log", "b", 1)};
  const std::vector<Observation> b = {scalar(0, "log", "x", 1), scalar(0, "log", "a", 1),
                                      scalar(0, "log", "y", 1), scalar(0, "log", "b", 1)};
  EXPECT_THAT(align(a, b), ElementsAre(Pair(kAbsent, 0), Pair(0, 1), Pair(kAbsent, 2), Pair(1, 3)));
  const std::vector<Observation> c = {a[0], b[2], a[1]};  // they part behind the first
  EXPECT_THAT(align(a, c), ElementsAre(Pair(0, 0), Pair(kAbsent, 1), Pair(1, 2)));
}

Observation tensor(const std::string& site, int64_t size, float value = 0) {
  const std::vector<float> values(static_cast<size_t>(size), value);
  return observe_tensor(0, "forward", 0, site, Dtype::float32, {size}, values.data());
}

TEST(Align, OperatorsOfAModuleArePairedByShapeAndOrder) {
  const std::vector<Observation> a = {tensor("mlp/aten.mul.Tensor[0]#0", 2),
                                      tensor("mlp/aten.mul.Tensor[1]#0", 3),
                                      tensor("mlp/aten.mul.Tensor[2]#0", 3)};
  // One more of another shape before them: all numbers move.
  const std::vector<Observation> b = {
      tensor("mlp/aten.mul.Tensor[0]#0", 9), tensor("mlp/aten.mul.Tensor[1]#0", 2),
      tensor("mlp/aten.mul.Tensor[2]#0", 3), tensor("mlp/aten.mul.Tensor[3]#0", 3)};
  EXPECT_THAT(align(a, b), ElementsAre(Pair(kAbsent, 0), Pair(0, 1), Pair(1, 2), Pair(2, 3)));
  const PairComparison equal = compare_streams(a, b, {});
  EXPECT_EQ(equal.compared, 3);
  EXPECT_EQ(equal.different, 0);
  std::vector<Observation> other = b;
  other[3] = tensor("mlp/aten.mul.Tensor[3]#0", 3, 1);
  const PairComparison comparison = compare_streams(a, other, {});
  ASSERT_TRUE(comparison.first_value);
  EXPECT_EQ(comparison.first_value->place(), "step 0, forward, mlp/aten.mul.Tensor[2]#0");
}

TEST(Align, OperatorsArePairedByNumberWhereOneSideHasOnlySome) {
  std::vector<Observation> eager, compiled;
  for (int call = 0; call < 3; ++call) {
    for (int number = 0; number < 3; ++number) {
      const std::string site = "norm/aten.mul.Tensor[" + std::to_string(number) + "]#0";
      eager.push_back(tensor(site, 3, static_cast<float>(10 * call + number)));
      if (number > 0) compiled.push_back(eager.back());  // the first is fused away
    }
  }
  const PairComparison fused = compare_streams(eager, compiled, {});
  EXPECT_EQ(fused.compared, 6);
  EXPECT_EQ(fused.different, 0);
  EXPECT_EQ(compare_streams(compiled, eager, {}).different, 0);
  compiled[3] = tensor("norm/aten.mul.Tensor[2]#0", 3, -1);
  const PairComparison other = compare_streams(eager, compiled, {});
  ASSERT_TRUE(other.first_value);
  EXPECT_EQ(other.first_value->place(),
            "step 0, forward, norm/aten.mul.Tensor[2]#0 (occurrence 1)");
}

TEST(Align, OtherOperatorsModulesOutputsAndShapesAreNoPair) {
  const std::vector<Observation> a = {tensor("mlp/aten.mul.Tensor[0]#0", 2)};
  for (const char* site : {"mlp/aten.mul.Scalar[0]#0", "up/aten.mul.Tensor[0]#0",
                           "mlp/aten.mul.Tensor[0]#1", "mlp/aten.mul.Tensor[0]:part0#0"}) {
    EXPECT_EQ(compare_streams(a, {tensor(site, 2)}, {}).compared, 0) << site;
  }
  EXPECT_EQ(compare_streams(a, {tensor("mlp/aten.mul.Tensor[0]#0", 3)}, {}).compared, 0);
  // A module's output of another shape is a difference of two values, and so is an engine's.
  for (const char* site : {"mlp#0", "layers[3].wo#0", "loss/mean[1]"}) {
    EXPECT_EQ(compare_streams({tensor(site, 2)}, {tensor(site, 3)}, {}).different, 1) << site;
    EXPECT_EQ(compare_streams({tensor(site, 2)}, {tensor(std::string(site) + "x", 2)}, {}).compared,
              0);
  }
}

}  // namespace
}  // namespace samebits
