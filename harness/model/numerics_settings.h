#pragma once

#include <string>

#include "harness/base/names.h"
#include "harness/bits/dtype.h"

namespace samebits {

enum class AttentionKernel { kFlash, kSdpa };  // samebits's own, or LibTorch's

inline const Names<AttentionKernel>& names_of(AttentionKernel) {
  static const Names<AttentionKernel> names = {{"flash", AttentionKernel::kFlash},
                                               {"sdpa", AttentionKernel::kSdpa}};
  return names;
}

// Which arithmetic serves each operator.
struct NumericsSettings {
  std::string platform = "sm90";
  Dtype dtype = Dtype::bfloat16;  // of the model: bfloat16 or float32
  AttentionKernel attention = AttentionKernel::kFlash;
  bool batch_invariant = true;  // false: plain LibTorch kernels
  bool tp_invariant = true;     // false: one chain a rank, whatever TP cuts
  bool fused_rounding = false;  // rounds where a fusing compiler would: the control
  bool float32_head = false;    // logits are float32, not rounded to dtype
};

}  // namespace samebits
