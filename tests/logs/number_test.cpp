#include "harness/logs/number.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "harness/base/json.h"

namespace samebits {
namespace {

LogNumber number_of(std::string_view text) {
  const auto number = number_from_text(text);
  EXPECT_TRUE(number) << text;
  return number.value_or(LogNumber());
}

TEST(Number, CountsWhatIsPrinted) {
  const LogNumber fixed = number_of("8.1660");
  EXPECT_EQ(fixed.value, 8.166);
  EXPECT_EQ(fixed.decimals, 4);
  EXPECT_EQ(fixed.digits, 5);
  EXPECT_FALSE(fixed.is_whole);
  const LogNumber scientific = number_of("1.085231E+01");
  EXPECT_EQ(scientific.decimals, 5);
  EXPECT_EQ(scientific.digits, 7);
  EXPECT_TRUE(scientific.has_exponent);
  EXPECT_EQ(number_of("1.5e-05").decimals, 6);
  EXPECT_EQ(number_of("0.0012").digits, 2);
  EXPECT_TRUE(number_of("-12").is_whole);
  EXPECT_EQ(number_of("9007199254740991").value, 9007199254740991.0);
  EXPECT_EQ(number_of("+0.5").value, 0.5);
}

TEST(Number, ReadsWhatIsNotFinite) {
  for (const char* text : {"nan", "NaN", "NAN"})
    EXPECT_TRUE(std::isnan(number_of(text).value)) << text;
  EXPECT_EQ(number_of("-Infinity").value, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(number_of("inf").value, std::numeric_limits<double>::infinity());
}

TEST(Number, RefusesWhatIsNone) {
  for (const char* text :
       {"", "+", "-", ".", "e5", "1.2.3", "1,5", "0x1p3", "1e", "1e+", "1 ", " 1", "nan(0)", "+-1",
        "1e999", "1e-999", "9007199254740992", "9007199254740993", "tensor(1.)"}) {
    EXPECT_FALSE(number_from_text(text)) << text;
  }
}

TEST(Number, KnowsItsFormWhereNoDoubleHoldsIt) {
  for (const char* text : {"1", "-1.5", "+1.e5", "1e999", "1E-999", "9007199254740993"}) {
    EXPECT_TRUE(is_written_as_number(text)) << text;
  }
  for (const char* text : {"", "-", ".", "e5", "1e", "1e+", "1,5", "nan", "1 ", "0x1", "1.2.3"}) {
    EXPECT_FALSE(is_written_as_number(text)) << text;
  }
}

TEST(Number, ReadsBackEveryDouble) {
  std::mt19937_64 random(17);
  for (int i = 0; i < 20'000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    const auto number = number_from_text(shortest_text(value));
    const bool is_huge = value == std::floor(value) && std::abs(value) >= 9007199254740992.0;
    if (!number) {
      EXPECT_TRUE(is_huge) << shortest_text(value);
      continue;
    }
    EXPECT_EQ(number->value, value);
    EXPECT_LE(number->digits, 17 + (is_huge ? 300 : 0));
  }
}

}  // namespace
}  // namespace samebits
