// Operators that autograd passes through: they choose, store, measure or update, or they are the
// backward of another one (whose formula refuses second derivatives).

#include <torch/library.h>

namespace samebits {
namespace {

TORCH_LIBRARY_IMPL(samebits, Autograd, m) {
  for (const char* op : {"linear_dgrad", "linear_wgrad", "rms_norm_dgrad", "rms_norm_wgrad",
                         "silu_mul_backward", "embedding_wgrad", "flash_attention_backward",
                         "paged_attention", "write_kv", "log_softmax_gather_backward", "sample",
                         "grpo_loss_backward", "sum_squares", "adamw_", "mark"}) {
    m.impl(op, torch::CppFunction::makeFallthrough());
  }
}

}  // namespace
}  // namespace samebits
