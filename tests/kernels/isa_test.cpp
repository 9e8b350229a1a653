#include "harness/kernels/cpu/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "harness/base/error.h"

namespace samebits {
namespace {

TEST(Isa, PortableIsAlwaysSupported) {
  ASSERT_FALSE(supported_isas().empty());
  EXPECT_EQ(supported_isas().front(), Isa::portable);
}

TEST(Isa, AnOverrideHoldsInItsScopeAndNests) {
  const Isa outside = selected_isa();
  {
    const IsaOverride first(Isa::portable);
    EXPECT_EQ(selected_isa(), Isa::portable);
    {
      const IsaOverride second(supported_isas().back());
      EXPECT_EQ(selected_isa(), supported_isas().back());
    }
    EXPECT_EQ(selected_isa(), Isa::portable);
  }
  EXPECT_EQ(selected_isa(), outside);
}

// The environment is read once a process, so each value gets a process of its own.
void exit_with_selection(const char* value) {
  setenv("SAMEBITS_CPU", value, /*overwrite=*/1);
  try {
    std::exit(selected_isa() == Isa::portable ? 10 : 11);
  } catch (const InputError& error) {
    fputs(error.what(), stderr);
    std::exit(12);
  }
}

TEST(IsaDeathTest, TheEnvironmentChooses) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(exit_with_selection("portable"), ::testing::ExitedWithCode(10), "");
  EXPECT_EXIT(exit_with_selection(name_of(supported_isas().back())),
              ::testing::ExitedWithCode(supported_isas().size() > 1 ? 11 : 10), "");
  EXPECT_EXIT(exit_with_selection("avx1024"), ::testing::ExitedWithCode(12),
              "SAMEBITS_CPU: found 'avx1024', expected .*portable");
}

}  // namespace
}  // namespace samebits
