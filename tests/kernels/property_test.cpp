// Random calls of every operator of the contract list: the vector kernels and a card against the
// portable kernels and the CPU, to the bit. SAMEBITS_PROPERTY_CASES says how many, in all;
// SAMEBITS_PROPERTY_SEED is the first one's seed. A case is repeated by its seed and one case.

#include <ATen/core/dispatch/Dispatcher.h>
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
#include "tests/kernels/random_calls.h"

namespace samebits {
namespace {

using testing::Draw;
using testing::on;
using testing::random_operators;
using testing::RandomCall;
using testing::same_bits;
using Tensors = std::vector<at::Tensor>;

uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}
uint64_t cases() { return number_from("SAMEBITS_PROPERTY_CASES", 340); }  // seconds on two cores
uint64_t first_seed() { return number_from("SAMEBITS_PROPERTY_SEED", 1); }

Tensors copies(const Tensors& tensors) {
  Tensors found;
  for (const at::Tensor& tensor : tensors) found.push_back(tensor.clone());
  return found;
}

std::string text_of(const Draw& draw, const RandomCall& call) {
  std::vector<std::string> shapes;
  for (const at::Tensor& input : call.inputs) {
    shapes.push_back(
        fmt::format("{} [{}]", c10::toString(input.scalar_type()), fmt::join(input.sizes(), ", ")));
  }
  return fmt::format("{}; {}", draw.kind(), fmt::join(shapes, ", "));
}

struct Count {
  int64_t cases = 0;
  int64_t differences = 0;
};

// Runs cases of all operators in turn. A side gives what a call of the named operator returns, on
// the CPU.
using Side = std::function<Tensors(const std::string&, const RandomCall&)>;
struct Comparison {
  std::string title;
  Draw::Sizes sizes;
  Side expected, found;
  uint64_t shown = 5;  // differences that are told

  std::vector<Count> run() const;
};

std::vector<Count> Comparison::run() const {
  const auto& operators = random_operators();
  std::vector<Count> counts(operators.size());
  uint64_t told = 0;
  for (uint64_t seed = first_seed(); seed < first_seed() + cases(); ++seed) {
    const size_t which = seed % operators.size();
    Draw draw(seed, sizes);
    const RandomCall call = operators[which].draw(draw);
    SCOPED_TRACE(fmt::format("{}, seed {}", operators[which].name, seed));
    ++counts[which].cases;
    if (same_bits(expected(operators[which].name, call), found(operators[which].name, call))) {
      continue;
    }
    ++counts[which].differences;
    if (told++ < shown) {
      ADD_FAILURE() << title << ": " << operators[which].name << " differs, seed " << seed << ": "
                    << text_of(draw, call);
    }
  }
  return counts;
}

void print(const std::string& title, const std::vector<Count>& counts) {
  Count all;
  fmt::print("seed {}: {}\n{:<28}{:>7}{:>13}\n", first_seed(), title, "operator", "cases",
             "differences");
  for (size_t i = 0; i < counts.size(); ++i) {
    fmt::print("{:<28}{:>7}{:>13}\n", random_operators()[i].name, counts[i].cases,
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
    EXPECT_EQ(counts[i].differences, 0) << random_operators()[i].name;
  }
}

Tensors on_cpu(const std::string&, const RandomCall& call) { return call.run(copies(call.inputs)); }

Side on_isa(Isa isa) {
  return [isa](const std::string& name, const RandomCall& call) {
    const IsaOverride guard(isa);
    return on_cpu(name, call);
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
  const Side on_card = [](const std::string&, const RandomCall& call) {
    Tensors found = on(at::kCPU, call.run(on(at::kCUDA, call.inputs)));
    throw_device_fault();
    return found;
  };
  expect_no_difference({"a card against the CPU", Draw::Sizes::kWithLargeOnes, on_cpu, on_card});
}

// The comparison sees one flipped bit, where it is and nowhere else.
TEST(Property, OneFlippedBitIsCounted) {
  const std::string flipped = "silu_mul";
  const Side found = [&](const std::string& name, const RandomCall& call) {
    Tensors results = on_cpu(name, call);
    if (name == flipped) *static_cast<char*>(results.back().mutable_data_ptr()) ^= 1;
    return results;
  };
  const std::vector<Count> counts =
      Comparison{"a flipped bit", Draw::Sizes::kSmall, on_cpu, found, /*shown=*/0}.run();
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto& [all, differences] = counts[i];
    EXPECT_EQ(differences, random_operators()[i].name == flipped ? all : 0)
        << random_operators()[i].name;
  }
}

TEST(Property, EveryOperatorOfTheListIsDrawn) {
  std::vector<std::string> drawn{"samebits::mark"};  // computes nothing
  for (const auto& each : random_operators()) {
    drawn.push_back(std::string("samebits::") + each.name);
  }
  std::vector<std::string> listed;
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (name.name.rfind("samebits::", 0) == 0) listed.push_back(name.name);
  }
  EXPECT_THAT(drawn, ::testing::UnorderedElementsAreArray(listed));
}

}  // namespace
}  // namespace samebits
