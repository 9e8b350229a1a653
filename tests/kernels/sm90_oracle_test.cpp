// The step against what an H100 returned. tests/oracle/sm90_step/record.cu made the file and states
// its format.

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "harness/kernels/cpu/sm90_step.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

struct Group {
  uint16_t a[16][16];
  uint16_t b[16][8];
  uint32_t c[16][8];
  uint32_t d[16][8];
};
static_assert(sizeof(Group) == 1792);

std::vector<Group> recorded() {
  const std::string path = source_path("tests/oracle/sm90_step/h100.bin");
  std::ifstream file(path, std::ios::binary);
  std::string header;
  std::getline(file, header);
  EXPECT_EQ(header.rfind("samebits sm90_step 1 groups=", 0), 0u)
      << path << ": found header '" << header << "'; record.cu beside it makes the file";
  EXPECT_NE(header.find("sm=90"), std::string::npos) << header;
  std::vector<Group> groups;
  Group group;
  while (file.read(reinterpret_cast<char*>(&group), sizeof group)) groups.push_back(group);
  EXPECT_EQ(file.gcount(), 0) << path << " ends inside a group";
  return groups;
}

// How many outputs differ when column k of b is taken from `b_row(k)`.
template <typename Row>
int differences(const Group& group, Row b_row,
                float (*step)(float, const uint16_t*, const uint16_t*)) {
  int count = 0;
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      uint16_t b[kSm90StepK];
      for (int k = 0; k < kSm90StepK; ++k) b[k] = group.b[b_row(k)][column];
      const float d = step(f32_from_bits(group.c[row][column]), group.a[row], b);
      count += f32_bits(d) != group.d[row][column];
    }
  }
  return count;
}

float the_step(float c, const uint16_t* a, const uint16_t* b) { return sm90_step(c, a, b); }

// Ampere's arithmetic as the literature has it: two steps of eight terms.
float two_steps_of_eight(float c, const uint16_t* a, const uint16_t* b) {
  for (int half = 0; half < 2; ++half) {
    uint16_t x[kSm90StepK] = {};
    uint16_t y[kSm90StepK] = {};
    std::copy(a + 8 * half, a + 8 * half + 8, x);
    std::copy(b + 8 * half, b + 8 * half + 8, y);
    c = sm90_step(c, x, y);
  }
  return c;
}

TEST(Sm90Oracle, EveryRecordedOutputIsTheStep) {
  const std::vector<Group> groups = recorded();
  ASSERT_GE(groups.size(), 200u);
  for (size_t g = 0; g < groups.size(); ++g) {
    EXPECT_EQ(differences(
                  groups[g], [](int k) { return k; }, the_step),
              0)
        << "group " << g << ", class " << g % 10;
  }
}

// The controls: another pairing of the terms, and another grouping of them.
TEST(Sm90Oracle, OtherArithmeticsDiffer) {
  int rotated = 0;
  int halves = 0;
  for (const Group& group : recorded()) {
    rotated += differences(
        group, [](int k) { return (k + 1) % kSm90StepK; }, the_step);
    halves += differences(
        group, [](int k) { return k; }, two_steps_of_eight);
  }
  EXPECT_GT(rotated, 1000);
  EXPECT_GT(halves, 100);
}

}  // namespace
}  // namespace samebits
