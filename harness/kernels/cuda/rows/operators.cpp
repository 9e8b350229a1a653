// The contract's operators on rows, elements and the vocabulary, on the card: from tensors to
// launchers.h. Shapes are checked, and results allocated, by the shape rules that DTensor and the
// tracer use.

#include <ATen/ops/empty.h>
#include <ATen/ops/sort.h>
#include <torch/library.h>

#include <limits>
#include <utility>

#include "harness/kernels/cuda/rows/arguments.h"
#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/runtime/side_stream.h"

namespace samebits::cuda {
namespace {

// ---- rows --------------------------------------------------------------------------------------
void rms_norm(Call& call) {
  call.expect_like(1, "weight", 0);
  cuda::rms_norm(rows(call, 0), call.data(0), call.data(1), call.result(0), call.real(2),
                 call.flag(3), call.stream());
}

void rms_norm_dgrad(Call& call) {
  call.expect_like(0, "dy", 1);
  call.expect_like(2, "weight", 1);
  cuda::rms_norm_dgrad(rows(call, 1), call.data(0), call.data(1), call.data(2), call.result(0),
                       call.real(3), call.stream());
}

void rms_norm_wgrad_(Call& call) {
  call.expect_like(0, "dy", 1);
  const Rows size = rows(call, 1);
  const at::Tensor& x = call.tensor(1);
  Sequences sequences = sequences_of(call, 3, size.rows);
  if (sequences.starts != nullptr) {
    TORCH_CHECK(x.dim() >= 3, "rms_norm_wgrad_: x has shape ", x.sizes(),
                ", expected [1, T, ...], as there is a starts");
    sequences.tokens = x.size(1);
  }
  cuda::rms_norm_wgrad(size, sequences, call.data(0), call.data(1), call.data<float>(4),
                       call.real(2), call.workspace(rms_norm_wgrad_workspace(size, sequences)),
                       call.stream());
}

void residual_rms_norm(Call& call) {
  call.expect_like(1, "y", 0);
  call.expect_like(2, "weight", 0);
  cuda::residual_rms_norm(rows(call, 0), call.data(0), call.data(1), call.data(2), call.result(0),
                          call.result(1), call.real(3), call.stream());
}

void rope(Call& call) {
  cuda::rope(rotation_of(call, 1), call.data(0), call.result(0), call.flag(4), call.stream());
}

void rms_norm_rope(Call& call) {
  call.expect_like(1, "weight", 0);
  Rotation rotation = rotation_of(call, 3);
  rotation.tables_are_settled = rotation.tables_are_settled && call.settled({1});
  cuda::rms_norm_rope(rotation, heads_of(call, /*x=*/0, /*result=*/0), /*second=*/nullptr,
                      call.real(2), /*write=*/nullptr, call.stream());
  if (rotation.is_settled) call.began_early();
}

// ---- element by element ------------------------------------------------------------------------
void silu_mul(Call& call) {
  call.expect_like(1, "up", 0);
  cuda::silu_mul(call.tensor(0).numel(), call.is_bf16(0), call.data(0), call.data(1),
                 call.result(0), call.flag(2), call.stream());
}

void silu_mul_backward(Call& call) {
  call.expect_like(0, "dy", 1);
  call.expect_like(2, "up", 1);
  cuda::silu_mul_backward(call.tensor(1).numel(), call.is_bf16(1), call.data(0), call.data(1),
                          call.data(2), call.result(0), call.result(1), call.stream());
}

void residual_add(Call& call) {
  call.expect_like(1, "y", 0);
  cuda::residual_add(call.tensor(0).numel(), call.is_bf16(0), call.data(0), call.data(1),
                     call.result(0), call.stream());
}

// ---- the vocabulary ----------------------------------------------------------------------------
void embedding(Call& call) {
  call.expect(0, "ids", at::kLong);
  const at::Tensor& weight = call.tensor(1);
  cuda::embedding({call.tensor(0).numel(), weight.size(0), weight.size(1), call.integer(2),
                   call.data<int64_t>(0), call.is_bf16(1)},
                  call.data(1), call.result(0), call.stream());
}

Logits logits(const Call& call, size_t x, int64_t vocab) {
  const at::Tensor& tensor = call.tensor(x);
  TORCH_CHECK(vocab >= 1 && vocab <= last(tensor), call.op(), ": found vocab ", vocab,
              ", expected 1 to the ", last(tensor), " columns of logits");
  return {rows_of(tensor), last(tensor), vocab, call.is_bf16(x)};
}

void log_softmax_gather(Call& call) {
  call.expect(1, "targets", at::kLong);
  const Logits size = logits(call, 0, call.integer(2));
  cuda::log_softmax_gather(size, call.data(0), call.data<int64_t>(1),
                           call.workspace(log_softmax_workspace(size)), call.result<float>(0),
                           call.result<float>(1), call.stream());
}

void log_softmax_gather_backward(Call& call) {
  call.expect(0, "dlogprob", at::kFloat);
  call.expect(2, "targets", at::kLong);
  call.expect(3, "lse", at::kFloat);
  cuda::log_softmax_gather_backward(logits(call, 1, call.integer(4)), call.data<float>(0),
                                    call.data(1), call.data<int64_t>(2), call.data<float>(3),
                                    call.result(0), call.stream());
}

void sample(Call& call) {
  call.expect(1, "keys", at::kLong);
  const Logits size = logits(call, 0, call.integer(2));
  const float temperature = call.real(4);
  const int64_t top_k = call.integer(5);
  const float top_p = call.real(6);
  TORCH_CHECK(temperature >= 0, "sample: found temperature ", temperature, ", expected 0 or more");
  TORCH_CHECK(top_k >= 0, "sample: found top_k ", top_k, ", expected 0 (off) or more");
  TORCH_CHECK(top_p > 0 && top_p <= 1, "sample: found top_p ", top_p,
              ", expected more than 0 and at most 1 (off)");
  Draw draw{call.data<int64_t>(1), static_cast<uint64_t>(call.integer(3)), temperature, nullptr};
  at::Tensor kept;
  if (temperature > 0 && (top_k > 0 || top_p < 1.0f) && size.rows > 0) {
    const auto options = call.tensor(0).options();
    const at::Tensor order = at::empty({size.rows, size.vocab}, options.dtype(at::kInt));
    cuda::sample_order(size, call.data(0), temperature, order.mutable_data_ptr<int32_t>(),
                       call.stream());
    const at::Tensor ids =
        std::get<1>(at::sort(order, /*stable=*/true, /*dim=*/-1, /*descending=*/true));
    kept = at::empty({size.rows, size.vocab}, options.dtype(at::kByte));
    cuda::sample_filter(size, call.data(0), temperature, ids.const_data_ptr<int64_t>(), top_k,
                        top_p, call.workspace(size.rows * size.vocab),
                        kept.mutable_data_ptr<uint8_t>(), call.stream());
    draw.kept = kept.const_data_ptr<uint8_t>();
  }
  cuda::sample(size, call.data(0), draw, call.workspace(sample_workspace(size)),
               call.result<int64_t>(0), call.result<float>(1), call.stream());
}

void digest_sums(Call& call) {
  const at::Tensor& x = call.tensor(0);
  cuda::digest_sums(x.const_data_ptr(), x.numel(), x.element_size(), call.result<int64_t>(0),
                    call.stream());
}

void digest_rows(Call& call) {
  const std::vector<at::Tensor> tensors = call.arg(0).toTensorVector();
  const std::vector<int64_t> widths = call.arg(1).toIntVector();
  const std::vector<int64_t> rows = call.arg(2).toIntVector();
  std::vector<at::Tensor> contiguous;  // until the launch
  std::vector<DigestedValue> values;
  for (size_t k = 0; k < tensors.size(); ++k) {
    constexpr int64_t kMost = std::numeric_limits<uint32_t>::max();
    const at::Tensor& x = contiguous.emplace_back(tensors[k].contiguous());
    TORCH_CHECK(x.numel() <= kMost && widths[k] <= kMost, "digest_rows: value ", k, " has ",
                x.numel(), " elements in rows of ", widths[k], ", expected at most ", kMost);
    values.push_back({x.const_data_ptr(), static_cast<uint32_t>(x.numel()),
                      static_cast<uint32_t>(widths[k]), /*first_block=*/0,
                      static_cast<int16_t>(rows[k]), static_cast<int16_t>(x.element_size())});
  }
  SideStream* side = SideStream::current();
  cuda::digest_rows(values.data(), static_cast<int64_t>(values.size()), call.data<int64_t>(3),
                    call.result<int64_t>(0), side ? side->fork(contiguous) : call.stream());
}

void mark(Call&) {}

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
