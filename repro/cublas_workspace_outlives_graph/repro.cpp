#include "repro/cublas_workspace_outlives_graph/repro.h"

#include <ATen/ATen.h>

#include <memory>

#include "harness/kernels/functional.h"

namespace samebits {
namespace {

constexpr int64_t kParts = 4;
constexpr int64_t kTerms = 32;
constexpr int64_t kOutputs = 8;

class SplitSumProduct {
 public:
  SplitSumProduct(Scratch scratch, c10::Device device)
      : is_shared_(scratch == Scratch::kOfTheStream) {
    const at::Tensor weight =
        at::arange(kOutputs * kTerms, at::kFloat).remainder(7).view({kOutputs, kTerms});
    for (int64_t part = 0; part < kParts; ++part) {
      at::Tensor own = at::zeros_like(weight);
      const int64_t first = part * kTerms / kParts;
      const int64_t end = (part + 1) * kTerms / kParts;
      own.slice(1, first, end).copy_(weight.slice(1, first, end));
      weights_.push_back(own.to(device));
    }
  }

  at::Tensor forward(const at::Tensor& x) {
    at::Tensor sum;
    for (int64_t part = 0; part < kParts; ++part) {
      at::Tensor product =
          ops::linear(x, weights_[part], /*slice=*/0, /*dgrad_slice=*/0, at::kFloat);
      if (is_shared_) product = scratch_for(part, x.size(0)).copy_(product);
      sum = sum.defined() ? ops::residual_add(sum, product) : product;
    }
    return sum;
  }

 private:
  at::Tensor scratch_for(int64_t part, int64_t rows) {
    if (!shared_.defined() || shared_.size(1) < rows) {
      shared_ = at::empty({kParts, rows, kOutputs}, weights_[0].options());
    }
    return shared_.select(0, part).slice(0, 0, rows);
  }

  bool is_shared_;
  std::vector<at::Tensor> weights_;  // of each part, zero at the terms of the others
  at::Tensor shared_;                // [parts, rows of the largest call so far, outputs]
};

Subject side_with(Side side, c10::Device device) {
  return split_sum_product(side == Side::kBuggy ? Scratch::kOfTheStream : Scratch::kOfTheCall,
                           device);
}

}  // namespace

Subject split_sum_product(Scratch scratch, c10::Device device) {
  const auto product = std::make_shared<SplitSumProduct>(scratch, device);
  Subject subject;
  subject.program = [product](const std::vector<at::Tensor>& in) {
    return std::vector<at::Tensor>{product->forward(in[0])};
  };
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [device](int64_t size) {
    const at::Tensor x = at::arange(size * kTerms, at::kFloat).remainder(11);
    return std::vector<at::Tensor>{x.view({size, kTerms}).to(device)};
  };
  subject.hint = 4;
  subject.sizes = sizes_to_try(/*ranks=*/2);
  return subject;
}

Repro cublas_workspace_outlives_graph() {
  const std::string symptom =
      "captured at 4, replayed after a call at 5: the graph: the Float [4, 4, 8] that "
      "aten::select takes was freed";
  return {"cublas_workspace_outlives_graph",
          "a graph holds scratch memory of the stream, which others give back while it lives",
          /*is_silent=*/true,
          symptom,
          {"https://github.com/pytorch/pytorch/issues/193402",
           "https://github.com/pytorch/pytorch/pull/193832",
           "https://github.com/pytorch/pytorch/pull/175276",
           "https://github.com/pytorch/pytorch/issues/192061",
           "https://github.com/NVIDIA/TensorRT-LLM/pull/15534"},
          [](Side side) { return side_with(side, c10::kCPU); },
          /*also=*/{},
          OnCard{symptom, [](Side side) { return side_with(side, c10::kCUDA); }, run_replayed},
          run_replayed};
}
SAMEBITS_REPRO(cublas_workspace_outlives_graph);

}  // namespace samebits
