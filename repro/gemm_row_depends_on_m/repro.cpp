#include "repro/gemm_row_depends_on_m/repro.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <utility>

#include "harness/kernels/functional.h"

namespace samebits {
namespace {

Gemm gemm_of(Side side) { return side == Side::kBuggy ? Gemm::kLibTorch : Gemm::kInvariant; }

}  // namespace

Subject rows_times_weight(Gemm gemm, int64_t width, std::vector<int64_t> sizes,
                          c10::Device device) {
  const at::ScalarType dtype = device.is_cpu() ? at::kFloat : at::kBFloat16;
  const int64_t most = *std::max_element(sizes.begin(), sizes.end());
  at::Generator generator = at::detail::createCPUGenerator(/*seed_val=*/8);
  const at::Tensor weight = at::randn({width, width}, generator).to(dtype).to(device);
  const at::Tensor rows = at::randn({most, width}, generator).to(dtype).to(device);
  Subject subject;
  subject.program = [gemm, weight, dtype](const std::vector<at::Tensor>& in) {
    return std::vector<at::Tensor>{gemm == Gemm::kLibTorch ? at::linear(in[0], weight)
                                                           : ops::linear(in[0], weight, /*slice=*/0,
                                                                         /*dgrad_slice=*/0, dtype)};
  };
  subject.dims = {{0, 0, "m", 1}};
  subject.inputs = [rows](int64_t size) {
    return std::vector<at::Tensor>{rows.narrow(0, 0, size).contiguous()};
  };
  subject.hint = 8;
  subject.sizes = std::move(sizes);
  subject.rows_dim = 0;
  return subject;
}

Repro gemm_row_depends_on_m() {
  return {"gemm_row_depends_on_m",
          "a row of a matrix product has other bits when there are more rows",
          /*is_silent=*/true,
          /*symptom=*/"row 0 of 1 has ",
          {"https://github.com/pytorch/pytorch/issues/136338",
           "https://github.com/pytorch/pytorch/issues/45422",
           "https://github.com/pytorch/pytorch/issues/51276",
           "https://github.com/pytorch/pytorch/issues/139964",
           "https://github.com/NVIDIA/TransformerEngine/pull/3440",
           "https://github.com/modular/modular/issues/7165",
           "https://github.com/vllm-project/vllm/pull/27660"},
          [](Side side) {
            return rows_times_weight(gemm_of(side), /*width=*/1000, {1, 2, 3, 8, 33});
          },
          /*also=*/{},
          OnCard{/*symptom=*/" of 128 has ",
                 [](Side side) {
                   return rows_times_weight(gemm_of(side), /*width=*/4096,
                                            {1, 2, 8, 16, 33, 64, 128}, c10::kCUDA);
                 },
                 run_rows},
          run_rows};
}
SAMEBITS_REPRO(gemm_row_depends_on_m);

}  // namespace samebits
