// Attention and the key-value cache: every head by itself, so all tensors are split along the heads
// or none is. A group of query heads stays with its key-value head.

#include <c10/util/Exception.h>

#include <initializer_list>

#include "harness/dtensor/strategies/common.h"

namespace samebits {
namespace {

bool any_by_heads(const OpCall& call, std::initializer_list<size_t> tensors) {
  for (const size_t i : tensors) {
    if (call.placements[i].is_shard(kHeads)) return true;
  }
  return false;
}

// Shards of query and key-value heads meet on one rank only if both divide evenly. Otherwise a rank
// would take its queries to another group's keys.
bool heads_divide(const OpCall& call, const at::Tensor& q, const at::Tensor& k) {
  const int64_t n = call.ranks;
  return is_even(q.sym_size(kHeads), n) && is_even(k.sym_size(kHeads), n);
}

// `by_heads` of the inputs are split along the heads, the others replicated.
OpSharding split_heads(const OpCall& call, size_t by_heads, size_t outputs) {
  OpSharding sharding = all_replicate(call, outputs);
  for (size_t i = 0; i < by_heads; ++i) sharding.inputs[i] = shard(kHeads);
  for (Placement& output : sharding.outputs) output = shard(kHeads);
  return sharding;
}

OpSharding flash_attention(const OpCall& call) {
  const bool split = any_by_heads(call, {0, 1, 2}) &&
                     heads_divide(call, call.args[0].toTensor(), call.args[1].toTensor());
  return split ? split_heads(call, /*by_heads=*/3, /*outputs=*/2) : all_replicate(call, 2);
}

OpSharding flash_attention_backward(const OpCall& call) {
  const bool split = any_by_heads(call, {0, 1, 2, 3, 4, 5}) &&
                     heads_divide(call, call.args[1].toTensor(), call.args[2].toTensor());
  return split ? split_heads(call, /*by_heads=*/6, /*outputs=*/3) : all_replicate(call, 3);
}

OpSharding paged_attention(const OpCall& call) {
  const bool split = any_by_heads(call, {0, 1, 2}) &&
                     heads_divide(call, call.args[0].toTensor(), call.args[1].toTensor());
  return split ? split_heads(call, /*by_heads=*/3, /*outputs=*/1) : all_replicate(call, 1);
}

// The placement of both caches, which are written: keys and values follow them. Shards of the two
// fit at any number of heads.
Placement placement_of_caches(const char* op, const OpCall& call, size_t k_cache) {
  const Placement k = call.placements[k_cache];
  const Placement v = call.placements[k_cache + 1];
  TORCH_CHECK(k == v, op, ": k_cache is ", k.text(), ", v_cache is ", v.text(),
              "; expected the same placement");
  return k.is_shard(kHeads) ? shard(kHeads) : replicate();
}

OpSharding write_kv(const OpCall& call) {
  const bool split = placement_of_caches("write_kv", call, 0).is_shard();
  return split ? split_heads(call, /*by_heads=*/4, /*outputs=*/0) : all_replicate(call, 0);
}

OpSharding rms_norm_rope_write_kv(const OpCall& call) {
  const Placement heads = placement_of_caches("rms_norm_rope_write_kv_", call, 5);
  const Placement whole = replicate();
  // x; weight, cos, sin, positions; k_cache, v_cache, v; slots
  return {{heads, whole, whole, whole, whole, heads, heads, heads, whole}, {heads, heads}, {}};
}

OpSharding rms_norm_rope_qk_write_kv(const OpCall& call) {
  const Placement heads = placement_of_caches("rms_norm_rope_qk_write_kv_", call, 7);
  const Placement whole = replicate();
  // q, weight; k, weight; cos, sin, positions; k_cache, v_cache, v; slots
  return {{heads, whole, heads, whole, whole, whole, whole, heads, heads, heads, whole},
          {heads, heads, heads, heads},
          {}};
}

OpSharding rms_norm_rope_paged_attention(const OpCall& call) {
  OpSharding sharding = rms_norm_rope_qk_write_kv(call);
  const Placement heads = sharding.outputs[0];
  const at::Tensor& q = call.args[0].toTensor();
  TORCH_CHECK(!heads.is_shard() || heads_divide(call, q, call.args[2].toTensor()),
              "rms_norm_rope_paged_attention_: the caches are ", heads.text(), ", and the ",
              q.sym_size(kHeads), " heads of q or those of k do not divide by ", call.ranks,
              " ranks");
  // block_table, cu_seqlens, seq_lens; out
  sharding.inputs.insert(sharding.inputs.end(), 3, replicate());
  sharding.outputs.push_back(heads);
  return sharding;
}

SAMEBITS_STRATEGY("samebits::flash_attention", flash_attention);
SAMEBITS_STRATEGY("samebits::flash_attention_backward", flash_attention_backward);
SAMEBITS_STRATEGY("samebits::paged_attention", paged_attention);
SAMEBITS_STRATEGY("samebits::write_kv", write_kv);
SAMEBITS_STRATEGY("samebits::rms_norm_rope_write_kv_", rms_norm_rope_write_kv);
SAMEBITS_STRATEGY("samebits::rms_norm_rope_qk_write_kv_", rms_norm_rope_qk_write_kv);
SAMEBITS_STRATEGY("samebits::rms_norm_rope_paged_attention_", rms_norm_rope_paged_attention);

}  // namespace
}  // namespace samebits
