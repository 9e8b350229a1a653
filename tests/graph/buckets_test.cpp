#include "harness/graph/buckets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/error.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;

template <typename F>
std::string refusal_of(F f) {
  try {
    f();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(BucketsTest, TheSmallestThatHoldsTheStep) {
  const Buckets buckets({1, 4, 16});
  for (const auto& [tokens, bucket] : {std::pair{1, 1}, {2, 4}, {4, 4}, {5, 16}, {16, 16}}) {
    EXPECT_EQ(buckets.bucket_for(tokens), bucket) << tokens;
  }
}

TEST(BucketsTest, TheDefaultEndsWhereItIsTold) {
  EXPECT_THAT(Buckets::up_to(1).sizes(), ElementsAre(1));
  EXPECT_THAT(Buckets::up_to(8).sizes(), ElementsAre(1, 2, 4, 8));
  EXPECT_THAT(Buckets::up_to(20).sizes(), ElementsAre(1, 2, 4, 8, 16, 20));
  const std::vector<int64_t> many = Buckets::up_to(300).sizes();
  EXPECT_THAT(std::vector<int64_t>(many.end() - 5, many.end()),
              ElementsAre(248, 256, 272, 288, 300));
}

TEST(BucketsTest, ByEighthsPadsLessThanAnEighth) {
  EXPECT_THAT(Buckets::by_eighths(1).sizes(), ElementsAre(1));
  EXPECT_THAT(Buckets::by_eighths(21).sizes(),
              ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 21));
  const Buckets buckets = Buckets::by_eighths(5000);
  for (int64_t tokens = 8; tokens <= 5000; tokens += 7) {
    const int64_t bucket = buckets.bucket_for(tokens);
    EXPECT_LE(8 * (bucket - tokens), bucket) << tokens;
  }
  EXPECT_EQ(buckets.bucket_for(1025), 1152);
}

TEST(BucketsTest, PowersOfTwo) {
  EXPECT_THAT(Buckets::powers_of_two(1).sizes(), ElementsAre(1));
  EXPECT_THAT(Buckets::powers_of_two(8).sizes(), ElementsAre(1, 2, 4, 8));
}

TEST(BucketsTest, RefusalsAreOneLine) {
  EXPECT_EQ(refusal_of([] { Buckets({}); }),
            "buckets: found none, expected one token count or more");
  EXPECT_EQ(refusal_of([] { Buckets({0, 1}); }), "buckets: found 0, expected 1 or more");
  EXPECT_EQ(refusal_of([] {
              Buckets({1, 4, 4});
            }),
            "buckets: found 4 after 4, expected ascending token counts");
  EXPECT_EQ(refusal_of([] {
              Buckets({1, 4}).bucket_for(5);
            }),
            "buckets: found a step of 5 tokens, expected 1 to the largest bucket, 4");
  EXPECT_EQ(refusal_of([] {
              Buckets({1, 4}).bucket_for(0);
            }),
            "buckets: found a step of 0 tokens, expected 1 to the largest bucket, 4");
}

}  // namespace
}  // namespace samebits
