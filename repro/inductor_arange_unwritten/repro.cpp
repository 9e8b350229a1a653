#include "repro/inductor_arange_unwritten/repro.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>

#include "harness/graph/arena.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr int64_t kGolden = -7046029254386353131;  // 0x9e3779b97f4a7c15
constexpr int64_t kVector = 16;                    // elements that a step of the loop writes

int64_t wrapped_product(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

// Memory that nobody has written yet. A compiler's loop leaves what was there before; here that is
// a pattern, so that it is the same in every run.
at::Tensor unwritten(int64_t elements) {
  return at::full({elements * 4}, Arena::kPoison, at::kShort).view(at::kLong);
}

// The loop goes in steps of kVector and multiplies the first index of each. Signed, a step whose
// product overflows cannot be reached, so it is not in the program.
at::Tensor multiples(const at::Tensor& like, int64_t factor, bool wraps) {
  const int64_t elements = like.numel();
  at::Tensor out = unwritten(elements);
  auto* data = out.mutable_data_ptr<int64_t>();
  for (int64_t first = 0; first < elements; first += kVector) {
    int64_t product = 0;
    if (__builtin_mul_overflow(first, factor, &product) && !wraps) break;
    const int64_t end = std::min(first + kVector, elements);
    for (int64_t i = first; i < end; ++i) data[i] = wrapped_product(i, factor);
  }
  return out;
}

std::vector<TensorMeta> int64_like(c10::ArrayRef<c10::IValue> args) {
  return {{args[0].toTensor().sym_sizes().vec(), at::kLong}};
}

TORCH_LIBRARY_FRAGMENT(samebits_repro, m) {
  m.def("multiples(Tensor like, int factor, bool wraps) -> Tensor");
}
TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) { m.impl("multiples", multiples); }

SAMEBITS_SHAPE_RULE("samebits_repro::multiples", int64_like);

Program hash_of(bool wraps) {
  return [wraps](const Tensors& in) {
    const at::Tensor products = c10::Dispatcher::singleton()
                                    .findSchemaOrThrow("samebits_repro::multiples", "")
                                    .typed<at::Tensor(const at::Tensor&, int64_t, bool)>()
                                    .call(in[0], kGolden, wraps);
    return Tensors{in[0].add(products)};
  };
}

}  // namespace

Subject hashed_positions(IndexOverflow overflow) {
  Subject subject;
  subject.program = hash_of(overflow == IndexOverflow::kWraps);
  subject.reference = hash_of(/*wraps=*/true);
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [](int64_t size) { return Tensors{at::full({size}, 42, at::kLong)}; };
  subject.hint = 64;
  subject.sizes = {1, 2, 15, 16, 17, 32, 64};
  return subject;
}

Repro inductor_arange_unwritten() {
  return {
      "inductor_arange_unwritten",
      "a compiled arange is multiplied as a signed index, and what would overflow is not written",
      /*is_silent=*/true,
      /*symptom=*/"at 17: output 0 has other bits than the reference's",
      {"https://github.com/pytorch/pytorch/issues/190764",
       "https://github.com/pytorch/pytorch/pull/191132",
       "https://github.com/pytorch/pytorch/issues/183901",
       "https://github.com/pytorch/pytorch/issues/175966"},
      [](Side side) {
        return hashed_positions(side == Side::kBuggy ? IndexOverflow::kUndefined
                                                     : IndexOverflow::kWraps);
      },
      /*also=*/{},
      /*on_card=*/{},
      run_with_reference};
}
SAMEBITS_REPRO(inductor_arange_unwritten);

}  // namespace samebits
