#pragma once

// The gated activation.
//
//   silu_mul(gate, up, fused_rounding) -> y = silu(gate) * up
//   silu_mul_backward(dy, gate, up) -> (dgate, dup)
//
// All tensors have one shape and one dtype, bf16 or float32. Element by element, float32, one
// rounding an operation, in the order written; exp is exp_f32 of cpu/math.h:
//   s = gate / (1 + exp(-gate));   y = round(round(s) * up)
// With `fused_rounding` the inner rounding is left out (the negative control; it differs in bf16).
//
// Backward, the inner rounding taken as the identity:
//   e = 1 + exp(-gate);   sigma = 1 / e
//   dup = round(dy * (gate / e))
//   dgate = round((dy * up) * (sigma * (1 + gate * (1 - sigma))))
//
// Source of the semantics: Qwen3MLP of Transformers, act_fn(gate_proj(x)) * up_proj(x).
