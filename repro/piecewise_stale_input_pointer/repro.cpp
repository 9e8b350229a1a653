#include "repro/piecewise_stale_input_pointer/repro.h"

#include <ATen/ATen.h>

#include "harness/kernels/functional.h"

namespace samebits {
namespace {

constexpr int64_t kWidth = 8;

Subject side_of(Side side, c10::Device device) {
  return split_product(SplitOutput::kFresh,
                       side == Side::kBuggy ? SplitResults::kHandedOn : SplitResults::kCopied,
                       device);
}

}  // namespace

Subject split_product(SplitOutput output, SplitResults results, c10::Device device) {
  const at::Tensor weight =
      at::arange(kWidth * kWidth, at::kFloat).remainder(5).sub(2).view({kWidth, kWidth}).to(device);
  Subject subject;
  subject.program = [weight, output](const std::vector<at::Tensor>& in) {
    const at::Tensor twice = ops::residual_add(in[0], in[0]);
    at::Tensor product;
    if (output == SplitOutput::kBuffer) {
      product = ops::residual_add(twice, twice);  // memory that lives from piece to piece
      product.copy_(at::mm(twice, weight));
    } else {
      product = at::mm(twice, weight);
    }
    return std::vector<at::Tensor>{ops::residual_add(product, twice)};
  };
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [device](int64_t size) {
    const at::Tensor x = at::arange(size * kWidth, at::kFloat).remainder(11);
    return std::vector<at::Tensor>{x.view({size, kWidth}).to(device)};
  };
  subject.hint = 4;
  subject.sizes = sizes_to_try(/*ranks=*/2);
  subject.splitting = {"aten::mm", "aten::copy_"};
  subject.results = results;
  return subject;
}

Repro piecewise_stale_input_pointer() {
  const std::string symptom =
      "captured at 4, replayed after a call at 1: the graph, piece 2: input 0 (result 0 of the "
      "graph, piece 1) was not written since the last replay";
  return {"piecewise_stale_input_pointer",
          "the piece after an eager operator reads where its input was at capture",
          /*is_silent=*/true,
          symptom,
          {"https://github.com/vllm-project/vllm/issues/37363",
           "https://github.com/vllm-project/vllm/pull/37361",
           "https://github.com/vllm-project/vllm/pull/37395",
           "https://github.com/vllm-project/vllm/pull/53915",
           "https://github.com/vllm-project/vllm/issues/20394"},
          [](Side side) { return side_of(side, c10::kCPU); },
          /*also=*/{},
          OnCard{symptom, [](Side side) { return side_of(side, c10::kCUDA); }, run_replayed},
          run_replayed};
}
SAMEBITS_REPRO(piecewise_stale_input_pointer);

}  // namespace samebits
