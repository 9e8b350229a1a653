#include "repro/weight_sync_into_meta/repro.h"

#include <ATen/ATen.h>

#include <memory>

#include "harness/kernels/functional.h"

namespace samebits {
namespace {

constexpr int64_t kIn = 8;
constexpr int64_t kOut = 4;

at::Tensor layer_of(const at::Tensor& x, const at::Tensor& weight) {
  return ops::linear(x, weight, /*slice=*/0, /*dgrad_slice=*/0, at::kFloat);
}

class Loop {
 public:
  void step(SyncInto into) {
    trained_.add_(1);
    if (into == SyncInto::kWeights) {
      generator_.copy_(trained_);
      return;
    }
    // A reload makes the parameters meta tensors, new weights are copied into those, which is
    // nothing, and the old memory comes back.
    const at::Tensor on_meta = at::empty_like(generator_, generator_.options().device(at::kMeta));
    on_meta.copy_(trained_);
  }
  const at::Tensor& trained() const { return trained_; }
  const at::Tensor& generator() const { return generator_; }

 private:
  at::Tensor trained_ = at::arange(kOut * kIn, at::kFloat).remainder(5).view({kOut, kIn});
  at::Tensor generator_ = trained_.clone();
};

}  // namespace

Subject generator_after_sync(SyncInto into) {
  const auto loop = std::make_shared<Loop>();
  Subject subject;
  subject.program = [loop](const std::vector<at::Tensor>& in) {
    return std::vector<at::Tensor>{layer_of(in[0], loop->generator())};
  };
  subject.reference = [loop](const std::vector<at::Tensor>& in) {
    return std::vector<at::Tensor>{layer_of(in[0], loop->trained())};
  };
  subject.dims = {{0, 0, "tokens", 1}};
  subject.inputs = [loop, into](int64_t tokens) {
    loop->step(into);
    const at::Tensor x = at::arange(tokens * kIn, at::kFloat).remainder(7);
    return std::vector<at::Tensor>{x.view({tokens, kIn})};
  };
  subject.hint = 4;
  subject.sizes = sizes_to_try(/*ranks=*/2);
  return subject;
}

Repro weight_sync_into_meta() {
  return {
      "weight_sync_into_meta",
      "new weights are copied into meta tensors, so that the generator keeps its first ones",
      /*is_silent=*/true,
      /*symptom=*/"at 1: output 0 has other bits than the reference's",
      {"https://github.com/pytorch/torchtitan/pull/2410",
       "https://github.com/pytorch/torchtitan/pull/2402",
       "https://github.com/pytorch/torchtitan/pull/2393"},
      [](Side side) {
        return generator_after_sync(side == Side::kBuggy ? SyncInto::kMeta : SyncInto::kWeights);
      },
      /*also=*/{},
      /*on_card=*/{},
      run_with_reference};
}
SAMEBITS_REPRO(weight_sync_into_meta);

}  // namespace samebits
