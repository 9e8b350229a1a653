#pragma once

// The blocks of a persistent decode step that do attention, layer after layer.

#include "harness/kernels/cuda/persistent/thread.cuh"

namespace samebits::cuda {

template <int kMost, bool kObserved, typename Shape>
struct AttentionBlock : DecodeThread<kMost, Shape> {
  using Base = DecodeThread<kMost, Shape>;
  using Base::at, Base::exchanges, Base::first_tag, Base::lane, Base::layer, Base::memory, Base::p,
      Base::patience, Base::plan, Base::shared, Base::tid, Base::warp;
  using Base::Base;
  using Base::head_dim, Base::heads, Base::kv_heads, Base::tokens;

  __device__ AttentionStep<kMost, kObserved, Shape> attention() {
    this->refresh();
    return {{p},
            plan.attention,
            exchanges,
            memory,
            reinterpret_cast<float*>(memory + at.rope),
            this->fault,
            this->first_turn,
            tid,
            lane,
            warp};
  }
  // Once, before any layer.
  __device__ void find_units() {
    const int count = units_of_block();
    if (tid < count) shared.units[tid] = unit_of(first_unit() + tid * stride_of_units());
    this->sync();
    check_pages(shared.units, count);
  }
  // Segments of units, in turn: one is fetched while what it needs of the others is computed.
  __device__ void run_layer(int l) {
    const int count = units_of_block();
    int i = 0;
    int segment = 0;  // its first key
    bool is_fetched = false;
    float o[4];
    float sums[2];
    this->set_place(l, kAttentionPlace);
#pragma unroll 1
    for (;;) {
      const AttentionUnit& unit = shared.units[i];
      if (is_fetched) {
        attention().run(l, layer(l), unit, segment, o, sums, first_tag + l, patience);
        segment += plan.attention.segment;
        if (unit.rows.sequence < 0 || segment >= unit.rows.keys) {
          segment = 0;
          if (++i == count) return;
        }
      }
      is_fetched = true;
      const AttentionUnit& next = shared.units[i];
      if (next.rows.sequence >= 0) attention().fetch(layer(l), next, segment);
    }
  }

 private:
  __device__ int first_unit() const {
    return static_cast<int>(blockIdx.x) - shared.shares.processors;
  }
  __device__ int stride_of_units() const { return kDecodeProcessors - shared.shares.processors; }
  __device__ int units_of_block() const {  // one at least
    const int stride = stride_of_units();
    return (tokens() * kv_heads() - first_unit() + stride - 1) / stride;
  }
  // Of all units, once: fetch() passes over what is outside.
  __device__ void check_pages(const AttentionUnit* units, int count) const {
    for (int i = 0; i < count; ++i) {
      const DecodeRows& rows = units[i].rows;
      if (rows.sequence < 0) continue;
      const int64_t first = rows.sequence * p.table_width;
      const auto used = static_cast<int>((rows.keys + p.page_rows - 1) / p.page_rows);
      for (int e = tid; e < used; e += kDecodeComputing) {
        const int page = p.block_table[first + e];
        if (page >= 0 && page < p.pages) continue;
        raise(this->fault, FaultKind::kPage, first + e, page, p.pages);
      }
    }
  }
  __device__ AttentionUnit unit_of(int index) const {
    const Attention size{p.all_tokens, p.all_tokens, heads(),      kv_heads(),
                         head_dim(),   p.scale,      p.cu_seqlens, /*bf16=*/true};
    const Pages pages{p.block_table, p.seq_lens, p.table_width, p.pages, p.page_rows};
    Fault* const fault = this->fault;
    const int64_t token = index / kv_heads();
    AttentionUnit unit{rows_of_token(size, pages, p.first + token, index % kv_heads(), fault), -1};
    unit.rows.token = token;
    const int64_t slot = p.slots[token];
    int64_t place = -1;
    if (unit.rows.sequence >= 0) {
      const Keys keys{pages, 1, 0, unit.rows.sequence};
      place = keys(unit.rows.keys - 1, fault);
    }
    if (slot != place) raise(fault, FaultKind::kDecodeSlot, p.first + token, slot, place);
    if (slot == place) unit.own = place;
    return unit;
  }
};

}  // namespace samebits::cuda
