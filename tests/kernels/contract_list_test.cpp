// Every operator of the contract list is complete. The list is read from the dispatcher, so a new
// operator fails here until it has all its entries and calls to draw.

#include <ATen/core/dispatch/Dispatcher.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include <set>

#include "harness/dispatch/operator_traits.h"
#include "harness/kernels/shape_rule.h"
#include "tests/kernels/operator_calls.h"

namespace samebits {
namespace {

using testing::call_operator;
using testing::Draw;
using ::testing::IsEmpty;
using testing::operator_calls;
using testing::OperatorArgs;
using testing::OperatorCalls;

std::vector<std::string> operators_of(const std::string& library) {
  std::vector<std::string> names;
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (name.name.rfind(library + "::", 0) == 0) names.push_back(toString(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

c10::OperatorHandle handle_of(const std::string& name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name.c_str(), "");
}

// What an operator lacks, of what kernels/ must give it.
std::vector<std::string> missing_entries(const std::string& name) {
  std::vector<std::string> missing;
  const auto op = handle_of(name);
  if (!op.hasKernelForDispatchKey(c10::DispatchKey::CPU)) missing.push_back("CPU kernel");
  if (!op.hasKernelForDispatchKey(c10::DispatchKey::Autograd)) missing.push_back("autograd");
  if (!has_shape_rule(name)) missing.push_back("shape rule");
  if (!has_traits(name)) missing.push_back("traits");
  return missing;
}

TEST(ContractList, EveryOperatorHasAKernelAutogradAShapeRuleAndTraits) {
  const auto operators = operators_of("samebits");
  EXPECT_GE(operators.size(), 24u);
  for (const auto& name : operators) EXPECT_THAT(missing_entries(name), IsEmpty()) << name;
}

TEST(ContractList, SeesWhatABareOperatorLacks) {
  torch::Library library(torch::Library::DEF, "samebits_test", std::nullopt, __FILE__, __LINE__);
  library.def("bare(Tensor x) -> Tensor");
  EXPECT_THAT(operators_of("samebits_test"), ::testing::ElementsAre("samebits_test::bare"));
  EXPECT_THAT(missing_entries("samebits_test::bare"),
              ::testing::ElementsAre("CPU kernel", "autograd", "shape rule", "traits"));
}

OperatorArgs example_of(const OperatorCalls& calls, uint64_t seed) {
  Draw draw(seed, Draw::Sizes::kSmall);
  return calls.draw(draw);
}

constexpr uint64_t kExamples = 12;  // of each operator

// The first argument, or the first of a list that it is.
at::Tensor first_tensor(const OperatorArgs& args) {
  return args[0].isTensorList() ? args[0].toTensorVector()[0] : args[0].toTensor();
}

void replace_first_tensor(OperatorArgs& args, const at::Tensor& tensor) {
  if (!args[0].isTensorList()) {
    args[0] = tensor;
    return;
  }
  c10::List<at::Tensor> list = args[0].toTensorList().copy();
  list.set(0, tensor);
  args[0] = list;
}

bool agrees(const std::vector<TensorMeta>& metas, const std::vector<at::Tensor>& outputs) {
  if (metas.size() != outputs.size()) return false;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (metas[i].dtype != outputs[i].scalar_type()) return false;
    if (outputs[i].sym_sizes() != c10::SymIntArrayRef(metas[i].sizes)) return false;
    if (!outputs[i].is_contiguous()) return false;
  }
  return true;
}

TEST(ContractList, EveryOperatorHasCallsToDraw) {
  std::vector<std::string> drawn;
  for (const OperatorCalls& calls : operator_calls()) {
    drawn.push_back(std::string("samebits::") + calls.name);
  }
  EXPECT_EQ(drawn, operators_of("samebits"));
}

TEST(ContractList, ShapeRulesAgreeWithTheOperators) {
  for (const OperatorCalls& calls : operator_calls()) {
    const std::string name = std::string("samebits::") + calls.name;
    const size_t returns = handle_of(name).schema().returns().size();
    for (uint64_t seed = 1; seed <= kExamples; ++seed) {
      const OperatorArgs args = example_of(calls, seed);
      std::vector<at::Tensor> results = call_operator(calls.name, args);
      results.resize(returns);  // without the arguments that it wrote
      EXPECT_TRUE(agrees(infer_shapes(name, args), results)) << name << ", seed " << seed;
    }
  }
}

TEST(ContractList, AShapeRuleThatDisagreesIsSeen) {
  const at::Tensor x = at::ones({2, 3});
  EXPECT_TRUE(agrees({{{2, 3}, at::kFloat}}, {x}));
  EXPECT_FALSE(agrees({{{2, 4}, at::kFloat}}, {x}));
  EXPECT_FALSE(agrees({{{2, 3}, at::kBFloat16}}, {x}));
  EXPECT_FALSE(agrees({}, {x}));
}

TEST(ContractList, ShapeRulesRefuseWhatOperatorsRefuse) {
  const std::set<std::string> take_any_size{"digest_rows", "digest_sums", "embedding", "mark",
                                            "sum_squares"};
  const std::set<std::string> free_in_the_last{"log_softmax_gather", "sample"};
  for (const OperatorCalls& calls : operator_calls()) {
    if (take_any_size.count(calls.name) != 0) continue;
    for (uint64_t seed = 1; seed <= kExamples; ++seed) {
      OperatorArgs args = example_of(calls, seed);
      const at::Tensor first = first_tensor(args);
      auto sizes = first.sizes().vec();
      if (sizes.empty()) sizes.push_back(0);
      (free_in_the_last.count(calls.name) != 0 ? sizes.front() : sizes.back()) += 2;
      replace_first_tensor(args, at::ones(sizes, first.options()));
      EXPECT_THROW(infer_shapes(std::string("samebits::") + calls.name, args), c10::Error)
          << calls.name << ", seed " << seed;
      EXPECT_THROW(call_operator(calls.name, args), c10::Error) << calls.name << ", seed " << seed;
    }
  }
}

TEST(ContractList, EveryOperatorRunsUnderGradMode) {
  for (const OperatorCalls& calls : operator_calls()) {
    OperatorArgs args = example_of(calls, 1);
    const at::Tensor first = first_tensor(args);
    if (!first.is_floating_point()) continue;
    replace_first_tensor(args, first.detach().clone().requires_grad_());
    EXPECT_NO_THROW(call_operator(calls.name, args)) << calls.name;
  }
}

}  // namespace
}  // namespace samebits
