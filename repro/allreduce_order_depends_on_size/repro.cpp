#include "repro/allreduce_order_depends_on_size/repro.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>

#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

constexpr int64_t kSummedRanks = 4;
constexpr int64_t kSummedWidth = 4;
constexpr size_t kLongestOfTree = 64;  // bytes

at::Tensor ring_sum(const std::vector<at::Tensor>& messages) {
  const int64_t ranks = static_cast<int64_t>(messages.size());
  const int64_t length = messages[0].numel();
  const int64_t chunk = (length + ranks - 1) / ranks;
  std::vector<at::Tensor> sums;
  for (int64_t c = 0; c * chunk < length; ++c) {
    std::vector<at::Tensor> chunks;
    for (const at::Tensor& message : messages) {
      chunks.push_back(message.narrow(0, c * chunk, std::min(chunk, length - c * chunk)));
    }
    sums.push_back(chain_from(c, ranks).sum(chunks));
  }
  return at::cat(sums);
}

at::Tensor sum_kernel(const at::Tensor& contributions, int64_t algorithm) {
  std::vector<at::Tensor> messages;
  for (const at::Tensor& each : contributions.unbind(0)) messages.push_back(each.flatten());
  const auto chosen = static_cast<SumAlgorithm>(algorithm);
  const bool is_ring = chosen == SumAlgorithm::kRing ||
                       (chosen == SumAlgorithm::kBySize && messages[0].nbytes() > kLongestOfTree);
  const at::Tensor sum =
      is_ring ? ring_sum(messages) : pairwise_tree(contributions.size(0)).sum(messages);
  return sum.view(contributions.sizes().slice(1));
}

std::vector<TensorMeta> without_ranks(c10::ArrayRef<c10::IValue> args) {
  const at::Tensor& x = args[0].toTensor();
  return {{x.sym_sizes().slice(1).vec(), x.scalar_type()}};
}

TORCH_LIBRARY_FRAGMENT(samebits_repro, m) {
  m.def("sum_over_ranks(Tensor contributions, int algorithm) -> Tensor");
}
TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) { m.impl("sum_over_ranks", sum_kernel); }

SAMEBITS_SHAPE_RULE("samebits_repro::sum_over_ranks", without_ranks);

}  // namespace

at::Tensor sum_over_ranks(const at::Tensor& contributions, SumAlgorithm algorithm) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::sum_over_ranks", "")
      .typed<at::Tensor(const at::Tensor&, int64_t)>()
      .call(contributions, static_cast<int64_t>(algorithm));
}

Subject all_reduced_rows(SumAlgorithm algorithm) {
  Subject subject;
  subject.program = [algorithm](const std::vector<at::Tensor>& in) {
    return std::vector<at::Tensor>{sum_over_ranks(in[0], algorithm)};
  };
  subject.dims = {{0, 1, "s", 1}};
  subject.inputs = [](int64_t size) {
    const at::Tensor of_ranks = at::tensor({256., 1., 1., 1.}).to(at::kBFloat16);
    return std::vector<at::Tensor>{of_ranks.view({kSummedRanks, 1, 1})
                                       .expand({kSummedRanks, size, kSummedWidth})
                                       .contiguous()};
  };
  subject.hint = 4;
  subject.sizes = {1, 2, 3, 4, 7, 16};
  subject.rows_dim = 0;
  subject.rank_sums = {{"all_reduce", kSummedRanks,
                        [algorithm](const std::vector<at::Tensor>& contributions) {
                          return std::vector<at::Tensor>{
                              sum_over_ranks(at::stack(contributions), algorithm)};
                        },
                        pairwise_tree(kSummedRanks)}};
  return subject;
}

Repro allreduce_order_depends_on_size() {
  return {
      "allreduce_order_depends_on_size",
      "the order of a sum over ranks depends on the length of the message and the place in it",
      /*is_silent=*/true,
      /*symptom=*/"row 0 of 1 has 258 where row 0 of 16 has 256",
      {"https://github.com/sgl-project/sglang/pull/34159",
       "https://github.com/pytorch/torchtitan/pull/2994",
       "https://github.com/ROCm/rocm-systems/issues/11661",
       "https://github.com/NVIDIA/nccl/issues/157",
       "https://github.com/vllm-project/vllm/issues/50505"},
      [](Side side) {
        return all_reduced_rows(side == Side::kBuggy ? SumAlgorithm::kBySize : SumAlgorithm::kTree);
      },
      {{"a ring at every size", "row 0 of 1 has 260 where row 0 of 16 has 256",
        [] { return all_reduced_rows(SumAlgorithm::kRing); }}},
      /*on_card=*/{},
      run_rows};
}
SAMEBITS_REPRO(allreduce_order_depends_on_size);

}  // namespace samebits
