#include "repro/weight_reload_rebinds_pointer/repro.h"

#include <ATen/ATen.h>

#include <memory>

#include "harness/kernels/functional.h"

namespace samebits {
namespace {

constexpr int64_t kNarrow = 8;
constexpr int64_t kWide = 16;

at::Tensor times(const at::Tensor& x, const at::Tensor& weight) {
  return ops::linear(x, weight, /*slice=*/0, /*dgrad_slice=*/0, at::kFloat);
}

class ReloadedLayer {
 public:
  explicit ReloadedLayer(c10::Device device)
      : device_(device), weight_(trained(0)), transposed_(transposed(weight_)) {}

  void reload(Reload how) {
    const at::Tensor weight = trained(++step_);
    if (how == Reload::kRebind) {
      old_.push_back(weight_);
      old_.push_back(transposed_);
    }
    if (how == Reload::kCopy || how == Reload::kRebuildTheirCopy) {
      weight_.copy_(weight);
    } else {
      weight_ = weight;
    }
    if (how == Reload::kCopy) {
      transposed_.copy_(transposed(weight));
    } else {
      transposed_ = transposed(weight);
    }
  }

  at::Tensor forward(const at::Tensor& x) const { return times(times(x, weight_), transposed_); }

 private:
  at::Tensor trained(int64_t step) const {
    const at::Tensor numbers = at::arange(kWide * kNarrow, at::kFloat).add(step).remainder(7);
    return numbers.view({kWide, kNarrow}).to(device_);
  }
  static at::Tensor transposed(const at::Tensor& weight) { return weight.t().contiguous(); }

  c10::Device device_;
  int64_t step_ = 0;
  at::Tensor weight_;            // [wide, narrow]
  at::Tensor transposed_;        // [narrow, wide]
  std::vector<at::Tensor> old_;  // of earlier policies
};

Subject side_on(Side side, c10::Device device) {
  return reloaded_weight(side == Side::kBuggy ? Reload::kRebind : Reload::kCopy, device);
}

}  // namespace

Subject reloaded_weight(Reload reload, c10::Device device) {
  const auto layer = std::make_shared<ReloadedLayer>(device);
  Subject subject;
  subject.program = [layer](const std::vector<at::Tensor>& in) {
    return std::vector<at::Tensor>{layer->forward(in[0])};
  };
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [layer, reload, device](int64_t size) {
    layer->reload(reload);
    const at::Tensor x = at::arange(size * kNarrow, at::kFloat).remainder(11);
    return std::vector<at::Tensor>{x.view({size, kNarrow}).to(device)};
  };
  subject.hint = 4;
  subject.sizes = sizes_to_try(/*ranks=*/2);
  return subject;
}

Repro weight_reload_rebinds_pointer() {
  const std::string symptom =
      "captured at 4, replayed after a call at 1: output 0 has other bits than eager's";
  const std::string freed = "captured at 4, replayed after a call at 1: the graph: the Float ";
  return {
      "weight_reload_rebinds_pointer",
      "new weights take the place of the old ones, which a graph goes on reading",
      /*is_silent=*/true,
      symptom,
      {"https://github.com/vllm-project/vllm/issues/48941",
       "https://github.com/vllm-project/vllm/issues/48312",
       "https://github.com/vllm-project/vllm-ascend/pull/7473",
       "https://github.com/sgl-project/sglang/pull/27140",
       "https://github.com/pytorch/pytorch/issues/70444"},
      [](Side side) { return side_on(side, c10::kCPU); },
      {{"the old weight is freed", freed + "[16, 8] that samebits::linear takes was freed",
        [] { return reloaded_weight(Reload::kRebindAndFree); }},
       {"its transposed copy is made anew", freed + "[8, 16] that samebits::linear takes was freed",
        [] { return reloaded_weight(Reload::kRebuildTheirCopy); }}},
      OnCard{symptom, [](Side side) { return side_on(side, c10::kCUDA); }, run_replayed},
      run_replayed};
}
SAMEBITS_REPRO(weight_reload_rebinds_pointer);

}  // namespace samebits
