// The fifth entry of the contract list: where each operator's results lie on a mesh. The other
// entries are checked by tests/kernels/contract_list_test.cpp, which cannot see dtensor.

#include <ATen/core/dispatch/Dispatcher.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "harness/dtensor/propagate.h"

namespace samebits {
namespace {

bool has_placement_entry(const c10::OperatorName& name) {
  return is_conversion(c10::toString(name)) || has_strategy(c10::toString(name));
}

TEST(ContractList, EveryOperatorHasAPlacementEntry) {
  int count = 0;
  for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (!name.name.starts_with("samebits::")) continue;
    ++count;
    EXPECT_TRUE(has_placement_entry(name)) << name;
  }
  EXPECT_GE(count, 24);
}

TEST(ContractList, AnOperatorWithoutOneIsFound) {
  EXPECT_FALSE(has_placement_entry(c10::OperatorName("samebits::no_such_operator", "")));
  EXPECT_FALSE(has_placement_entry(c10::OperatorName("aten::cumsum", "")));
}

}  // namespace
}  // namespace samebits
