// Symbolic integers against plain ones: random expressions are built twice, and must agree wherever
// they are evaluated.

#include "harness/capture/sym/expr.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <random>

#include "harness/capture/sym/arithmetic.h"
#include "harness/capture/sym/bounds.h"
#include "harness/capture/sym/condition.h"
#include "harness/capture/sym/evaluator.h"

namespace samebits::sym {
namespace {

const Expr s0 = Expr::symbol(0, "s0");
const Expr s1 = Expr::symbol(1, "s1", /*at_least=*/1);

using Plain = std::function<int64_t(const std::vector<int64_t>&)>;

struct Both {
  Expr symbolic;
  Plain plain;
};

// A random expression of the given depth. Divisors are positive wherever the symbols are sizes.
Both random_expression(std::mt19937& rng, int depth) {
  const auto pick = [&](int n) { return static_cast<int>(rng() % n); };
  if (depth == 0) {
    if (pick(3) == 0) {
      const int64_t c = pick(9) - 3;
      return {Expr(c), [c](const auto&) { return c; }};
    }
    const int id = pick(2);
    return {id ? s1 : s0, [id](const auto& values) { return values[id]; }};
  }
  const Both a = random_expression(rng, depth - 1);
  const Both b = random_expression(rng, depth - 1);
  const auto combine = [&](Expr e, auto f) {
    return Both{std::move(e), [a, b, f](const auto& v) { return f(a.plain(v), b.plain(v)); }};
  };
  const int64_t c = 1 + pick(6);
  switch (pick(8)) {
    case 0:
      return combine(a.symbolic + b.symbolic, [](int64_t x, int64_t y) { return x + y; });
    case 1:
      return combine(a.symbolic - b.symbolic, [](int64_t x, int64_t y) { return x - y; });
    case 2:
      return combine(a.symbolic * b.symbolic, [](int64_t x, int64_t y) { return x * y; });
    case 3:
      return combine(min(a.symbolic, b.symbolic),
                     [](int64_t x, int64_t y) { return std::min(x, y); });
    case 4:
      return combine(max(a.symbolic, b.symbolic),
                     [](int64_t x, int64_t y) { return std::max(x, y); });
    case 5:
      return combine(floordiv(a.symbolic, Expr(c)),
                     [c](int64_t x, int64_t) { return checked_floordiv(x, c); });
    case 6:
      return combine(mod(a.symbolic, Expr(c)),
                     [c](int64_t x, int64_t) { return x - c * checked_floordiv(x, c); });
    default:  // by a symbol that is at least 1
      return {ceildiv(a.symbolic, s1),
              [a](const auto& v) { return -checked_floordiv(-a.plain(v), v[1]); }};
  }
}

TEST(Expr, AgreesWithPlainIntegersEverywhere) {
  std::mt19937 rng(7);
  for (int trial = 0; trial < 3000; ++trial) {
    const Both e = random_expression(rng, 1 + trial % 3);
    Evaluator compiled(2);
    const int reg = compiled.add(e.symbolic);
    const auto low = lower_bound(e.symbolic);
    const auto high = upper_bound(e.symbolic);
    for (int64_t a = 0; a <= 8; ++a) {
      for (int64_t b = 1; b <= 7; ++b) {
        const std::vector<int64_t> values{a, b};
        const int64_t expected = e.plain(values);
        ASSERT_EQ(e.symbolic.evaluate(values), expected)
            << e.symbolic.str() << " at " << a << ", " << b;
        ASSERT_EQ(compiled.evaluate(values)[reg], expected) << e.symbolic.str();
        if (low) {
          ASSERT_GE(expected, *low) << e.symbolic.str();
        }
        if (high) {
          ASSERT_LE(expected, *high) << e.symbolic.str();
        }
      }
    }
  }
}

TEST(Condition, AgreesWithPlainComparisonsEverywhere) {
  std::mt19937 rng(11);
  int decided = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    const Both a = random_expression(rng, 1 + trial % 2);
    const Both b = random_expression(rng, 1 + trial % 2);
    const Condition eq = Condition::eq(a.symbolic, b.symbolic);
    const Condition lt = Condition::lt(a.symbolic, b.symbolic);
    const Condition ge = Condition::ge(a.symbolic, b.symbolic);
    decided += lt.constant().has_value();
    for (int64_t x = 0; x <= 6; ++x) {
      for (int64_t y = 1; y <= 6; ++y) {
        const std::vector<int64_t> v{x, y};
        const int64_t p = a.plain(v);
        const int64_t q = b.plain(v);
        ASSERT_EQ(eq.evaluate(v), p == q) << eq.str();
        ASSERT_EQ(lt.evaluate(v), p < q) << lt.str();
        ASSERT_EQ(ge.evaluate(v), p >= q) << ge.str();
        ASSERT_EQ((!lt).evaluate(v), p >= q) << (!lt).str();
        ASSERT_EQ((eq || lt).evaluate(v), p <= q);
        ASSERT_EQ((!(eq || lt)).evaluate(v), p > q);
        ASSERT_EQ((ge && !eq).evaluate(v), p > q);
      }
    }
  }
  EXPECT_GT(decided, 100);  // bounds do decide some, and not all
  EXPECT_LT(decided, 1900);
}

TEST(Expr, IsCanonical) {
  EXPECT_EQ((s0 + 1) * (s0 - 1), s0 * s0 - 1);
  EXPECT_EQ(s0 + s1 - s0, s1);
  EXPECT_EQ(floordiv(4 * s0 + 2, 2), 2 * s0 + 1);
  EXPECT_EQ(floordiv(6 * s0 * s1, 2 * s1), 3 * s0);
  EXPECT_EQ(floordiv(floordiv(s0, 2) + 1, 3), floordiv(s0 + 2, 6));
  EXPECT_EQ(ceildiv(s0, 2), -floordiv(-s0, 2));
  EXPECT_EQ(ceildiv(s0, 3), -floordiv(-s0, 3));
  EXPECT_EQ(mod(4 * s0, 2), 0);
  EXPECT_EQ(mod(s0 + 7, 3), mod(s0 + 1, 3));
  EXPECT_EQ(min(s0, s0 + 1), s0);
  EXPECT_EQ(max(s0, 0), s0);
  EXPECT_EQ(min(min(s0, s1), 5), min(s1, min(5, s0)));
  EXPECT_FALSE(floordiv(s0, 2) == floordiv(s0 + 1, 2));
}

// Rank r of n holds [r * c, (r + 1) * c) cut off at s0, c = ceil(s0 / n).
TEST(Expr, KnowsThatShardsFitTheWhole) {
  for (int n = 2; n <= 4; ++n) {
    const Expr chunk = ceildiv(s0, n);
    EXPECT_EQ(min(chunk, s0), chunk) << n;
    EXPECT_EQ(Condition::ge(s0, chunk).constant(), true) << n;
    EXPECT_EQ(Condition::ge(n * chunk, s0).constant(), true) << n;
    EXPECT_EQ(Condition::gt(n * chunk, s0).constant(), std::nullopt) << n;
  }
}

TEST(Condition, IsOneForOneQuestion) {
  EXPECT_EQ(Condition::lt(s0, 2), Condition::le(2 * s0, 3));
  EXPECT_EQ(Condition::eq(s0, s1), Condition::eq(2 * s1, 2 * s0));
  EXPECT_EQ(Condition::eq(2 * s0, 5).constant(), false);
  EXPECT_EQ(Condition::ge(s0, 0).constant(), true);
  EXPECT_EQ(Condition::eq(s1, 0).constant(), false);
  EXPECT_EQ(Condition::eq(s0, 0).constant(), std::nullopt);
}

TEST(Expr, PrintsAsItIsRead) {
  EXPECT_EQ((2 * s0 * s1 + s0 - 3).str(), "2*s0*s1 + s0 - 3");
  EXPECT_EQ(floordiv(s0 + 2, 3).str(), "(s0 + 2)//3");
  EXPECT_EQ((2 * floordiv(s0, 2)).str(), "2*(s0//2)");
  EXPECT_EQ(mod(s0, 4).str(), "s0 % 4");
  EXPECT_EQ(min(s0 + 1, s1).str(), "min(s0 + 1, s1)");
  EXPECT_EQ((-s0).str(), "-s0");
  EXPECT_EQ(Condition::eq(mod(s0, 2), 0).str(), "s0 % 2 == 0");
  EXPECT_EQ(Condition::lt(s0, 2).str(), "s0 <= 1");
  EXPECT_EQ(Condition::ne(s0, s1 + 1).str(), "s0 != s1 + 1");
  EXPECT_EQ((Condition::eq(s0, 1) || Condition::gt(s1, s0)).str(), "s0 == 1 or s1 >= s0 + 1");
}

TEST(Expr, HoldsTheWholeRangeOfCoefficients) {
  const Expr least(std::numeric_limits<int64_t>::min());
  EXPECT_EQ((least * s0).str(), "-9223372036854775808*s0");
  EXPECT_EQ(floordiv(least * s0, 3).evaluate({1, 1}), -3074457345618258603);
}

TEST(Expr, RefusesWhatHasNoValue) {
  EXPECT_THROW(floordiv(s0, 0), std::domain_error);
  EXPECT_THROW(floordiv(s0, s1).evaluate({1, 0}), std::domain_error);
  const Expr big(int64_t{1} << 62);
  EXPECT_THROW(big * 2, std::overflow_error);
  EXPECT_THROW((big * s0).evaluate({2, 1}), std::overflow_error);
}

}  // namespace
}  // namespace samebits::sym
