// Random calls of every operator of the contract list: the vector kernels and a card against the
// portable kernels and the CPU, to the bit. SAMEBITS_PROPERTY_CASES says how many, in all;
// SAMEBITS_PROPERTY_SEED is the first one's seed. A case is repeated by its seed and one case.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "harness/kernels/cpu/isa.h"
#include "harness/kernels/device.h"
#include "tests/kernels/operator_calls.h"

namespace samebits {
namespace {

using testing::call_operator;
using testing::Draw;
using testing::on;
using testing::operator_calls;
using testing::OperatorArgs;
using testing::same_bits;
using testing::with_tensors;
using Tensors = std::vector<at::Tensor>;

uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}
uint64_t cases() { return number_from("SAMEBITS_PROPERTY_CASES", 340); }  // seconds on two cores
uint64_t first_seed() { return number_from("SAMEBITS_PROPERTY_SEED", 1); }

std::string text_of(const Draw& draw, const OperatorArgs& args) {
  std::vector<std::string> shapes;
  with_tensors(args, [&](const at::Tensor& x) {
    shapes.push_back(
        fmt::format("{} [{}]", c10::toString(x.scalar_type()), fmt::join(x.sizes(), ", ")));
    return x;
  });
  return fmt::format("{}; {}", draw.kind(), fmt::join(shapes, ", "));
}

struct Count {
  int64_t cases = 0;
  int64_t differences = 0;
};

// Runs cases of all operators in turn. A side gives what a call of the named operator returns and
// writes, on the CPU; it leaves the arguments as they are.
using Side = std::function<Tensors(const std::string&, const OperatorArgs&)>;
struct Comparison {
  std::string title;
  Draw::Sizes sizes;
  Side expected, found;
  uint64_t shown = 5;  // differences that are told

  std::vector<Count> run() const;
};

std::vector<Count> Comparison::run() const {
  const auto& operators = operator_calls();
  std::vector<Count> counts(operators.size());
  uint64_t told = 0;
  for (uint64_t seed = first_seed(); seed < first_seed() + cases(); ++seed) {
    const size_t which = seed % operators.size();
    Draw draw(seed, sizes);
    const OperatorArgs args = operators[which].draw(draw);
    SCOPED_TRACE(fmt::format("{}, seed {}", operators[which].name, seed));
    ++counts[which].cases;
    if (same_bits(expected(operators[which].name, args), found(operators[which].name, args))) {
      continue;
    }
    ++counts[which].differences;
    if (told++ < shown) {
      ADD_FAILURE() << title << ": " << operators[which].name << " differs, seed " << seed << ": "
                    << text_of(draw, args);
    }
  }
  return counts;
}

void print(const std::string& title, const std::vector<Count>& counts) {
  Count all;
  fmt::print("seed {}: {}\n{:<28}{:>7}{:>13}\n", first_seed(), title, "operator", "cases",
             "differences");
  for (size_t i = 0; i < counts.size(); ++i) {
    fmt::print("{:<28}{:>7}{:>13}\n", operator_calls()[i].name, counts[i].cases,
               counts[i].differences);
    all.cases += counts[i].cases;
    all.differences += counts[i].differences;
  }
  fmt::print("{:<28}{:>7}{:>13}\n", "all", all.cases, all.differences);
  std::fflush(stdout);
}

void expect_no_difference(const Comparison& comparison) {
  const std::vector<Count> counts = comparison.run();
  print(comparison.title, counts);
  for (size_t i = 0; i < counts.size(); ++i) {
    EXPECT_EQ(counts[i].differences, 0) << operator_calls()[i].name;
  }
}

Tensors on_cpu(const std::string& name, const OperatorArgs& args) {
  return call_operator(name, with_tensors(args, [](const at::Tensor& x) { return x.clone(); }));
}

Side on_isa(Isa isa) {
  return [isa](const std::string& name, const OperatorArgs& args) {
    const IsaOverride guard(isa);
    return on_cpu(name, args);
  };
}

TEST(Property, VectorKernelsAgreeWithThePortableOnes) {
  for (const Isa isa : supported_isas()) {
    if (isa == Isa::portable) continue;
    expect_no_difference({fmt::format("{} against portable", name_of(isa)), Draw::Sizes::kSmall,
                          on_isa(Isa::portable), on_isa(isa)});
  }
}

TEST(Property, CardAgreesWithTheCpu) {
  if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
  const Side on_card = [](const std::string& name, const OperatorArgs& args) {
    const auto there = with_tensors(args, [](const at::Tensor& x) { return x.to(at::kCUDA); });
    Tensors found = on(at::kCPU, call_operator(name, there));
    throw_device_fault();
    return found;
  };
  expect_no_difference({"a card against the CPU", Draw::Sizes::kWithLargeOnes, on_cpu, on_card});
}

// The comparison sees one flipped bit, where it is and nowhere else.
TEST(Property, OneFlippedBitIsCounted) {
  const std::string flipped = "silu_mul";
  const Side found = [&](const std::string& name, const OperatorArgs& args) {
    Tensors results = on_cpu(name, args);
    if (name == flipped) *static_cast<char*>(results.back().mutable_data_ptr()) ^= 1;
    return results;
  };
  const std::vector<Count> counts =
      Comparison{"a flipped bit", Draw::Sizes::kSmall, on_cpu, found, /*shown=*/0}.run();
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto& [all, differences] = counts[i];
    EXPECT_EQ(differences, operator_calls()[i].name == flipped ? all : 0)
        << operator_calls()[i].name;
  }
}

}  // namespace
}  // namespace samebits
