#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <tuple>
#include <vector>

#include "harness/kernels/cpu/isa.h"
#include "tests/support/same_bits.h"

// What the tests of the kernels share: inputs, and equality to the bit.
namespace samebits::testing {

inline at::Generator seeded(uint64_t seed) { return at::detail::createCPUGenerator(seed); }

// Normal values from a seed.
inline at::Tensor random_tensor(at::IntArrayRef sizes, at::ScalarType dtype, uint64_t seed) {
  return at::randn(sizes, seeded(seed)).to(dtype);
}

// Arbitrary bit patterns: denormals, infinities, NaNs, zeros of both signs, every exponent.
inline at::Tensor hostile_tensor(at::IntArrayRef sizes, at::ScalarType dtype, uint64_t seed) {
  if (dtype == at::kBFloat16) {
    return at::randint(-32768, 32768, sizes, seeded(seed), at::TensorOptions().dtype(at::kShort))
        .view(at::kBFloat16);
  }
  return at::randint(-(int64_t{1} << 31), int64_t{1} << 31, sizes, seeded(seed),
                     at::TensorOptions().dtype(at::kLong))
      .to(at::kInt)
      .view(at::kFloat);
}

// What an operator returns.
template <typename... T>
std::vector<at::Tensor> list(const std::tuple<T...>& results) {
  return std::apply([](const auto&... each) { return std::vector<at::Tensor>{each...}; }, results);
}

inline std::vector<at::Tensor> on(c10::Device device, std::vector<at::Tensor> tensors) {
  for (at::Tensor& tensor : tensors) {
    if (tensor.defined()) tensor = tensor.to(device);
  }
  return tensors;
}

// Whether `run` gives the portable kernels' bits under every instruction set of this machine.
inline bool same_on_all_isas(const std::function<std::vector<at::Tensor>()>& run) {
  std::vector<at::Tensor> portable;
  {
    const IsaOverride isa(Isa::portable);
    portable = run();
  }
  for (const Isa isa : supported_isas()) {
    const IsaOverride guard(isa);
    if (!same_bits(run(), portable)) return false;
  }
  return true;
}

// The largest |a - b| / (|b| + floor), in double.
inline double largest_error(const at::Tensor& a, const at::Tensor& b, double floor) {
  const at::Tensor x = a.to(at::kDouble);
  const at::Tensor y = b.to(at::kDouble);
  return ((x - y).abs() / (y.abs() + floor)).max().item<double>();
}

constexpr at::ScalarType kDtypes[] = {at::kBFloat16, at::kFloat};

// Half a unit in the last place of a bf16, relative: one rounding.
constexpr double kBf16Rounding = 0x1p-8;

}  // namespace samebits::testing
