// Operators that autograd passes through: they choose, store, measure or update, they are the
// backward of another one (whose formula refuses second derivatives), or they are what a captured
// graph, which has no gradients, is given for several others.

#include <torch/library.h>

namespace samebits {
namespace {

TORCH_LIBRARY_IMPL(samebits, Autograd, m) {
  for (const char* op : {"linear_dgrad",
                         "linear_wgrad",
                         "linear_residual_add",
                         "rms_norm_dgrad",
                         "rms_norm_wgrad",
                         "rms_norm_linear_qkv",
                         "rms_norm_linear_silu_mul",
                         "rms_norm_rope",
                         "rms_norm_rope_paged_attention_",
                         "rms_norm_rope_qk_write_kv_",
                         "rms_norm_rope_write_kv_",
                         "silu_mul_backward",
                         "embedding_wgrad",
                         "flash_attention_backward",
                         "paged_attention",
                         "residual_rms_norm",
                         "write_kv",
                         "log_softmax_gather_backward",
                         "sample",
                         "grpo_loss_backward",
                         "sum_squares",
                         "clip_scale",
                         "adamw_",
                         "digest_sums",
                         "digest_rows",
                         "mark"}) {
    m.impl(op, torch::CppFunction::makeFallthrough());
  }
}

}  // namespace
}  // namespace samebits
