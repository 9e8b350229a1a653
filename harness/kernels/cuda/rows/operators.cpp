// The contract's operators on rows, elements and the vocabulary, on the card: from tensors to
// launchers.h. Shapes are checked, and results allocated, by the shape rules that DTensor and the
// tracer use.

#include <ATen/ops/empty.h>
#include <ATen/ops/sort.h>
#include <torch/library.h>

#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/kernels/cuda/rows/arguments.h"
#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/runtime/side_stream.h"

namespace samebits::cuda {
namespace {

// ---- rows --------------------------------------------------------------------------------------
void rms_norm(Call& call, const at::Tensor& x, const at::Tensor& weight, float eps,
              bool fused_rounding) {
  call.expect_like(weight, "weight", x);
  cuda::rms_norm(rows(call, x), data_of(x), data_of(weight), written(call.result()), eps,
                 fused_rounding, call.stream());
}

void rms_norm_dgrad(Call& call, const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                    float eps) {
  call.expect_like(dy, "dy", x);
  call.expect_like(weight, "weight", x);
  cuda::rms_norm_dgrad(rows(call, x), data_of(dy), data_of(x), data_of(weight),
                       written(call.result()), eps, call.stream());
}

void rms_norm_wgrad_(Call& call, const at::Tensor& dy, const at::Tensor& x, float eps,
                     const std::optional<at::Tensor>& starts, const at::Tensor& sum) {
  call.expect_like(dy, "dy", x);
  const Rows size = rows(call, x);
  Sequences sequences = sequences_of(call, starts, size.rows);
  if (sequences.starts != nullptr) {
    TORCH_CHECK(x.dim() >= 3, "rms_norm_wgrad_: x has shape ", x.sizes(),
                ", expected [1, T, ...], as there is a starts");
    sequences.tokens = x.size(1);
  }
  cuda::rms_norm_wgrad(size, sequences, data_of(dy), data_of(x), written<float>(sum), eps,
                       call.workspace(rms_norm_wgrad_workspace(size, sequences)), call.stream());
}

void residual_rms_norm(Call& call, const at::Tensor& x, const at::Tensor& y,
                       const at::Tensor& weight, float eps) {
  call.expect_like(y, "y", x);
  call.expect_like(weight, "weight", x);
  const auto [sum, normed] = call.results<2>();
  cuda::residual_rms_norm(rows(call, x), data_of(x), data_of(y), data_of(weight), written(sum),
                          written(normed), eps, call.stream());
}

void rope(Call& call, const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
          const at::Tensor& positions, bool inverse) {
  cuda::rope(rotation_of(call, x, cos, sin, positions), data_of(x), written(call.result()), inverse,
             call.stream());
}

void rms_norm_rope(Call& call, const at::Tensor& x, const at::Tensor& weight, float eps,
                   const at::Tensor& cos, const at::Tensor& sin, const at::Tensor& positions) {
  call.expect_like(weight, "weight", x);
  Rotation rotation = rotation_of(call, x, cos, sin, positions);
  rotation.tables_are_settled = rotation.tables_are_settled && call.is_settled(weight);
  const auto [normed, rotated] = call.results<2>();
  cuda::rms_norm_rope(rotation, heads_of(x, weight, normed, rotated), /*second=*/nullptr, eps,
                      /*write=*/nullptr, call.stream());
  if (rotation.is_settled) call.began_early();
}

// ---- element by element ------------------------------------------------------------------------
void silu_mul(Call& call, const at::Tensor& gate, const at::Tensor& up, bool fused_rounding) {
  call.expect_like(up, "up", gate);
  cuda::silu_mul(gate.numel(), call.is_bf16(gate), data_of(gate), data_of(up),
                 written(call.result()), fused_rounding, call.stream());
}

void silu_mul_backward(Call& call, const at::Tensor& dy, const at::Tensor& gate,
                       const at::Tensor& up) {
  call.expect_like(dy, "dy", gate);
  call.expect_like(up, "up", gate);
  const auto [dgate, dup] = call.results<2>();
  cuda::silu_mul_backward(gate.numel(), call.is_bf16(gate), data_of(dy), data_of(gate), data_of(up),
                          written(dgate), written(dup), call.stream());
}

void residual_add(Call& call, const at::Tensor& x, const at::Tensor& y) {
  call.expect_like(y, "y", x);
  cuda::residual_add(x.numel(), call.is_bf16(x), data_of(x), data_of(y), written(call.result()),
                     call.stream());
}

// ---- the vocabulary ----------------------------------------------------------------------------
void embedding(Call& call, const at::Tensor& ids, const at::Tensor& weight, int64_t first_row) {
  call.expect(ids, "ids", at::kLong);
  cuda::embedding({ids.numel(), weight.size(0), weight.size(1), first_row, data_of<int64_t>(ids),
                   call.is_bf16(weight)},
                  data_of(weight), written(call.result()), call.stream());
}

Logits size_of(const Call& call, const at::Tensor& logits, int64_t vocab) {
  TORCH_CHECK(vocab >= 1 && vocab <= last(logits), call.op(), ": found vocab ", vocab,
              ", expected 1 to the ", last(logits), " columns of logits");
  return {rows_of(logits), last(logits), vocab, call.is_bf16(logits)};
}

void log_softmax_gather(Call& call, const at::Tensor& logits, const at::Tensor& targets,
                        int64_t vocab) {
  call.expect(targets, "targets", at::kLong);
  const Logits size = size_of(call, logits, vocab);
  const auto [logprob, lse] = call.results<2>();
  cuda::log_softmax_gather(size, data_of(logits), data_of<int64_t>(targets),
                           call.workspace(log_softmax_workspace(size)), written<float>(logprob),
                           written<float>(lse), call.stream());
}

void log_softmax_gather_backward(Call& call, const at::Tensor& dlogprob, const at::Tensor& logits,
                                 const at::Tensor& targets, const at::Tensor& lse, int64_t vocab) {
  call.expect(dlogprob, "dlogprob", at::kFloat);
  call.expect(targets, "targets", at::kLong);
  call.expect(lse, "lse", at::kFloat);
  cuda::log_softmax_gather_backward(size_of(call, logits, vocab), data_of<float>(dlogprob),
                                    data_of(logits), data_of<int64_t>(targets), data_of<float>(lse),
                                    written(call.result()), call.stream());
}

void sample(Call& call, const at::Tensor& logits, const at::Tensor& keys, int64_t vocab,
            int64_t seed, float temperature, int64_t top_k, float top_p) {
  call.expect(keys, "keys", at::kLong);
  const Logits size = size_of(call, logits, vocab);
  TORCH_CHECK(temperature >= 0, "sample: found temperature ", temperature, ", expected 0 or more");
  TORCH_CHECK(top_k >= 0, "sample: found top_k ", top_k, ", expected 0 (off) or more");
  TORCH_CHECK(top_p > 0 && top_p <= 1, "sample: found top_p ", top_p,
              ", expected more than 0 and at most 1 (off)");
  Draw draw{data_of<int64_t>(keys), static_cast<uint64_t>(seed), temperature, nullptr};
  at::Tensor kept;
  if (temperature > 0 && (top_k > 0 || top_p < 1.0f) && size.rows > 0) {
    const auto options = logits.options();
    const at::Tensor order = at::empty({size.rows, size.vocab}, options.dtype(at::kInt));
    cuda::sample_order(size, data_of(logits), temperature, written<int32_t>(order), call.stream());
    const at::Tensor ids =
        std::get<1>(at::sort(order, /*stable=*/true, /*dim=*/-1, /*descending=*/true));
    kept = at::empty({size.rows, size.vocab}, options.dtype(at::kByte));
    cuda::sample_filter(size, data_of(logits), temperature, data_of<int64_t>(ids), top_k, top_p,
                        call.workspace(size.rows * size.vocab), written<uint8_t>(kept),
                        call.stream());
    draw.kept = data_of<uint8_t>(kept);
  }
  const auto [token, logprob] = call.results<2>();
  cuda::sample(size, data_of(logits), draw, call.workspace(sample_workspace(size)),
               written<int64_t>(token), written<float>(logprob), call.stream());
}

void digest_sums(Call& call, const at::Tensor& x) {
  cuda::digest_sums(data_of(x), x.numel(), x.element_size(), written<int64_t>(call.result()),
                    call.stream());
}

void digest_rows(Call& call, const std::vector<at::Tensor>& tensors,
                 const std::vector<int64_t>& widths, const std::vector<int64_t>& rows,
                 const at::Tensor& sizes) {
  std::vector<at::Tensor> contiguous;  // until the launch
  std::vector<DigestedValue> values;
  for (size_t k = 0; k < tensors.size(); ++k) {
    constexpr int64_t kMost = std::numeric_limits<uint32_t>::max();
    const at::Tensor& x = contiguous.emplace_back(tensors[k].contiguous());
    TORCH_CHECK(x.numel() <= kMost && widths[k] <= kMost, "digest_rows: value ", k, " has ",
                x.numel(), " elements in rows of ", widths[k], ", expected at most ", kMost);
    values.push_back({data_of(x), static_cast<uint32_t>(x.numel()),
                      static_cast<uint32_t>(widths[k]), /*first_block=*/0,
                      static_cast<int16_t>(rows[k]), static_cast<int16_t>(x.element_size())});
  }
  SideStream* side = SideStream::current();
  cuda::digest_rows(values.data(), static_cast<int64_t>(values.size()), data_of<int64_t>(sizes),
                    written<int64_t>(call.result()), side ? side->fork(contiguous) : call.stream());
}

void mark(Call&, const at::Tensor&, const std::string&) {}

TORCH_LIBRARY_IMPL(samebits, CUDA, m) {
  m.impl("rms_norm", kernel<rms_norm>());
  m.impl("rms_norm_dgrad", kernel<rms_norm_dgrad>());
  m.impl("rms_norm_wgrad_", kernel<rms_norm_wgrad_, /*kFirst=*/4, /*kUncopied=*/1>());
  m.impl("residual_rms_norm", kernel<residual_rms_norm>());
  m.impl("rope", kernel<rope>());
  m.impl("rms_norm_rope", kernel<rms_norm_rope>());
  m.impl("silu_mul", kernel<silu_mul>());
  m.impl("silu_mul_backward", kernel<silu_mul_backward>());
  m.impl("residual_add", kernel<residual_add>());
  m.impl("embedding", kernel<embedding>());
  m.impl("log_softmax_gather", kernel<log_softmax_gather>());
  m.impl("log_softmax_gather_backward", kernel<log_softmax_gather_backward>());
  m.impl("sample", kernel<sample>());
  m.impl("digest_sums", kernel<digest_sums>());
  m.impl("digest_rows", kernel<digest_rows>());
  m.impl("mark", kernel<mark>());
}

}  // namespace
}  // namespace samebits::cuda
