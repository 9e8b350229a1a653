#include "harness/kernels/log_softmax.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "harness/dispatch/launch.h"
#include "harness/kernels/cpu/tensors.h"

namespace samebits {
namespace {

void check_logits(const char* op, const at::Tensor& logits, const at::Tensor& targets,
                  int64_t vocab) {
  TORCH_CHECK(logits.dim() >= 1, op, ": logits is a scalar, expected at least one dimension");
  TORCH_CHECK(vocab >= 1 && vocab <= logits.size(-1), op, ": found vocab ", vocab,
              ", expected 1 to the ", logits.size(-1), " columns of logits");
  check_sizes(op, "targets", targets, logits.sizes().slice(0, logits.dim() - 1));
  check_dtype(op, "targets", targets, at::kLong);
}

void check_targets(const char* op, const int64_t* target, int64_t rows, int64_t vocab) {
  for (int64_t row = 0; row < rows; ++row) {
    TORCH_CHECK(target[row] >= 0 && target[row] < vocab, op, ": row ", row, " has target ",
                target[row], ", expected one in [0, ", vocab, ")");
  }
}

std::tuple<at::Tensor, at::Tensor> log_softmax_gather(const at::Tensor& logits_in,
                                                      const at::Tensor& targets_in, int64_t vocab) {
  check_logits("log_softmax_gather", logits_in, targets_in, vocab);
  const at::Tensor logits = logits_in.contiguous();
  const at::Tensor targets = targets_in.contiguous();
  const int64_t width = logits.size(-1);
  at::Tensor logprob = at::empty(targets.sizes(), logits.options().dtype(at::kFloat));
  at::Tensor lse = at::empty(targets.sizes(), logits.options().dtype(at::kFloat));
  with_element("log_softmax_gather", logits, [&](auto element) {
    using T = decltype(element);
    launch("log_softmax_gather",
           [log_sum_exp = row_kernels<T>().log_sum_exp, logits = elements<T>(logits),
            target = elements<int64_t>(targets), logprob = mutable_elements<float>(logprob),
            lse = mutable_elements<float>(lse), rows = targets.numel(), width, vocab] {
             check_targets("log_softmax_gather", target, rows, vocab);
             at::parallel_for(0, rows, row_grain(width), [&](int64_t begin, int64_t end) {
               for (int64_t row = begin; row < end; ++row) {
                 const T* x = logits + row * width;
                 lse[row] = log_sum_exp(x, vocab);
                 logprob[row] = canonical_nan_f32(to_float(x[target[row]]) - lse[row]);
               }
             });
           });
  });
  return {logprob, lse};
}

at::Tensor log_softmax_gather_backward(const at::Tensor& dlogprob_in, const at::Tensor& logits_in,
                                       const at::Tensor& targets_in, const at::Tensor& lse_in,
                                       int64_t vocab) {
  const char* op = "log_softmax_gather_backward";
  check_logits(op, logits_in, targets_in, vocab);
  check_sizes(op, "dlogprob", dlogprob_in, targets_in.sizes());
  check_dtype(op, "dlogprob", dlogprob_in, at::kFloat);
  check_like(op, "lse", lse_in, dlogprob_in);
  const at::Tensor dlogprob = dlogprob_in.contiguous();
  const at::Tensor logits = logits_in.contiguous();
  const at::Tensor targets = targets_in.contiguous();
  const at::Tensor lse = lse_in.contiguous();
  const int64_t width = logits.size(-1);
  at::Tensor dlogits = at::empty(logits.sizes(), logits.options());
  with_element(op, logits, [&](auto element) {
    using T = decltype(element);
    launch(op, [op, kernel = row_kernels<T>().log_softmax_backward,
                dlogprob = elements<float>(dlogprob), logits = elements<T>(logits),
                lse = elements<float>(lse), target = elements<int64_t>(targets),
                to = mutable_elements<T>(dlogits), rows = targets.numel(), width, vocab] {
      check_targets(op, target, rows, vocab);
      at::parallel_for(0, rows, row_grain(width), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          kernel(dlogprob[row], logits + row * width, lse[row], target[row], to + row * width,
                 vocab, width);
        }
      });
    });
  });
  return dlogits;
}

TORCH_LIBRARY_IMPL(samebits, CPU, m) {
  m.impl("log_softmax_gather", log_softmax_gather);
  m.impl("log_softmax_gather_backward", log_softmax_gather_backward);
}

}  // namespace
}  // namespace samebits
