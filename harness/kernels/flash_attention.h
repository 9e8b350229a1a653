#pragma once

// NOTE [The arithmetic of attention]
//
// Query head h of H uses key-value head h / (H / G). The query at position i of its sequence sees
// keys 0..i ("causal"); a masked key or value is never read. Contiguous keys, pages of any size in
// any order, prefill, chunked prefill and decode give one query the same bits: everything below is
// a function of that query's row and of keys 0..i alone.
//
// FORWARD, one query row, over tiles of 64 keys at positions 0, 64, 128, ... The last tile ends at
// key i, and is then simply shorter. m = -inf, l = 0, O = 0 (float32) before the first tile. For
// each:
//   s[j]  = chain over head_dim of q . k[j] (linear.h: sm90 steps or fmaf), times scale
//   m'    = max(m, s[0], s[1], ...), NaNs passed over
//   alpha = exp(m - m')
//   p[j]  = exp(s[j] - m')
//   sum   = 8 partial sums, by j mod 8, each from +0 with j ascending;
//           then ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7))
//   l     = l * alpha + sum               (a product, then a sum: two roundings)
//   O[d]  = chain from C = O[d] * alpha over the tile's keys ascending of P[j] * v[j, d],
//           where P is p rounded to the dtype; under sm90 steps of 16 keys from the tile's first
//   m     = m'
// out = O / l, rounded once to the dtype; lse = m + log(l), float32. exp and log: cpu/math.h.
// A NaN in a result has the bits of linear.h.
//
// BACKWARD, from the saved lse. Per pair (i, j) that is not masked, in float32:
//   s     = (chain over head_dim of q . k) * scale
//   p     = exp(s - lse[i])
//   dp    = chain over head_dim of dout[i] . v[j]
//   delta = sum over d of dout[i, d] * out[i, d]: products rounded, summed like `sum` above
//   ds    = (p * (dp - delta[i])) * scale
// P and dS are p and ds rounded to the dtype, +0 where masked. Then, each one chain from +0,
// rounded once:
//   dq[i]  over keys of tiles 0..i/64 ascending (of the last tile all that the sequence has)
//   dk[j]  over query heads of the group ascending and, within a head, queries from position
//          64 * (j / 64) to the end ascending, of dS * q
//   dv[j]  in the same order, of P * dout
// Under sm90, a chain's steps are 16 positions of the sequence from a multiple of 16; what lies
// past the sequence's end is +0 in both operands. Each head starts a new step.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <tuple>

namespace samebits::cpu {

constexpr int64_t kAttentionTile = 64;

// The CPU kernels behind the operators of the same names; shapes as in ops.cpp. Tensors of one call
// have one dtype, float32 or bfloat16, except lse (float32) and the int32 or int64 index tensors.
// Throw c10::Error for shapes and dtypes that do not meet, cu_seqlens that do not ascend from 0 or
// pass T, pages outside the cache, and sequences shorter than their queries. An empty sequence is
// fine. Rows past the last of cu_seqlens are padding, whose outputs and gradients are +0.

std::tuple<at::Tensor, at::Tensor> flash_attention(const at::Tensor& q, const at::Tensor& k,
                                                   const at::Tensor& v,
                                                   const at::Tensor& cu_seqlens, double scale);

std::tuple<at::Tensor, at::Tensor, at::Tensor> flash_attention_backward(
    const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& out, const at::Tensor& lse, const at::Tensor& cu_seqlens, double scale);

// Query i of the q_len queries of sequence b is at position seq_lens[b] - q_len + i.
at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& k_cache,
                           const at::Tensor& v_cache, const at::Tensor& block_table,
                           const at::Tensor& cu_seqlens, const at::Tensor& seq_lens, double scale);

// Slot -1 is skipped (padding); any other slot outside the cache is an error.
void write_kv(const at::Tensor& k_cache, const at::Tensor& v_cache, const at::Tensor& k,
              const at::Tensor& v, const at::Tensor& slots);

}  // namespace samebits::cpu
