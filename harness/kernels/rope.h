#pragma once

// Rotary position embedding, halves convention.
//
//   rope(x [1, T, H, D], cos [P, D/2], sin [P, D/2], positions int64 [1, T], inverse) -> y as x
//
// x is bf16 or float32; cos and sin are float32. For token t at position p, each head, i < D/2:
//   y[i]       = round(x[i] * c - x[i + D/2] * s)          c = cos[p, i], s = sin[p, i]
//   y[i + D/2] = round(x[i + D/2] * c + x[i] * s)
// Each product is rounded to float32, then the sum, then once to x's dtype. `inverse` negates s:
// the inverse rotation, which is also the gradient. Each element depends on its own pair and
// position alone. A position outside [0, P) is an error that names it.
//
// Source of the semantics: apply_rotary_pos_emb of Transformers' Qwen3, except that the products
// are not rounded to bf16 on their way and that the table stays float32.
