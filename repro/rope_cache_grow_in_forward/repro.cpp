#include "repro/rope_cache_grow_in_forward/repro.h"

#include <ATen/ATen.h>

#include <memory>

#include "harness/kernels/functional.h"
#include "harness/model/rope.h"

namespace samebits {
namespace {

constexpr int64_t kTableHeads = 2;
constexpr int64_t kHeadDim = 8;
constexpr int64_t kFirstRows = 16;
constexpr int64_t kAllRows = 64;

class RopeCache {
 public:
  RopeCache(int64_t rows, c10::Device device)
      : table_(make_rope_table(rows, kHeadDim, /*theta=*/1e6)) {
    table_ = {table_.cos.to(device), table_.sin.to(device)};
  }

  // A longer table takes the place of the old one, whose memory is let go.
  void hold(int64_t rows) {
    int64_t longer = table_.cos.size(0);
    while (longer < rows) longer *= 2;
    if (longer > table_.cos.size(0)) *this = RopeCache(longer, table_.cos.device());
  }

  at::Tensor rotate(const at::Tensor& x, const at::Tensor& positions) const {
    return ops::rope(x, table_.cos, table_.sin, positions, /*inverse=*/false);
  }

 private:
  RopeTable table_;
};

}  // namespace

Subject rope_with_table(TableGrowth growth, c10::Device device) {
  const auto cache =
      std::make_shared<RopeCache>(growth == TableGrowth::kNever ? kAllRows : kFirstRows, device);
  Subject subject;
  subject.program = [cache, growth](const std::vector<at::Tensor>& in) {
    if (growth == TableGrowth::kInForward) cache->hold(in[1].max().item<int64_t>() + 1);
    return std::vector<at::Tensor>{cache->rotate(in[0], in[1])};
  };
  subject.dims = {{0, 1, "s", 1}, {1, 1, "s", 1}};
  subject.inputs = [cache, growth, device](int64_t size) {
    if (growth == TableGrowth::kBeforeForward) cache->hold(size);
    const at::Tensor x = at::arange(size * kTableHeads * kHeadDim, at::kFloat).remainder(11);
    return std::vector<at::Tensor>{x.view({1, size, kTableHeads, kHeadDim}).to(device),
                                   at::arange(size).view({1, size}).to(device)};
  };
  subject.hint = kFirstRows;
  subject.sizes = {1, 7, kFirstRows, kFirstRows + 1, kAllRows};
  return subject;
}

Repro rope_cache_grow_in_forward() {
  return {"rope_cache_grow_in_forward",
          "forward reads the largest position and grows the RoPE table; a graph keeps the old one",
          /*is_silent=*/false,
          /*symptom=*/"traced at 16: operator aten::item returns Scalar, which depends on data",
          {"https://github.com/pytorch/torchtitan/pull/2119",
           "https://github.com/pytorch/torchtitan/pull/2486",
           "https://github.com/pytorch/pytorch/issues/70444"},
          [](Side side) {
            return rope_with_table(side == Side::kBuggy ? TableGrowth::kInForward
                                                        : TableGrowth::kNever);
          },
          {{"growth before forward", "traced at 16, served at 17: ",
            [] { return rope_with_table(TableGrowth::kBeforeForward); }}},
          OnCard{"captured at 16: CUDA error: operation not permitted when stream is capturing",
                 [](Side side) {
                   return rope_with_table(
                       side == Side::kBuggy ? TableGrowth::kInForward : TableGrowth::kNever,
                       c10::kCUDA);
                 },
                 run_replayed}};
}
SAMEBITS_REPRO(rope_cache_grow_in_forward);

}  // namespace samebits
