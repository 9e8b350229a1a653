// A decode step as one cooperative kernel. A block a processor: 16 warps that compute and one that
// copies weights into a ring of slots, in the order in which they are used, whatever the others
// wait for. The last blocks hold keys and values and do attention; the others have their tiles of
// every product (decode_tiles.h), and with several tokens attention's have some of gate and up.
// Stages of a layer, each ended by an exchange (words.cuh):
//   x -> norm, q k v | attention | o, residual | norm, gate, up, silu | down, residual
// Behind the last: norm, the head, and where they are wanted the tokens drawn from its logits.

#include "harness/kernels/cuda/persistent/attention_block.cuh"
#include "harness/kernels/cuda/persistent/sampling.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

template <int kMost, bool kObserved, typename Shape>
struct DecodeBlock : SampleThread<kMost, kObserved, Shape> {
  using Base = SampleThread<kMost, kObserved, Shape>;
  using Base::at, Base::columns, Base::embedded, Base::exchanges, Base::first_tag, Base::first_turn,
      Base::has_token, Base::fetch_norm, Base::lane, Base::layer, Base::memory, Base::next,
      Base::norm_x, Base::p, Base::patience, Base::plan, Base::produce, Base::refresh, Base::rows,
      Base::set_place, Base::shared, Base::slot_line, Base::sync, Base::tid, Base::warp;
  using Base::Base;
  using Base::head_dim, Base::heads, Base::hidden, Base::inner, Base::tokens;

  // Half a layer, or behind the last one the head: x normed, the products of that, and the rows
  // that are added to x. One piece of code for both halves: what is run once a layer comes slowly.
  __device__ void norm_half(int h) {
    const int l = h / 2;
    const bool is_head = l == p.layers;
    const bool is_ffn = h % 2 == 1;
    const float eps = is_head ? p.final_eps : is_ffn ? layer(l).ffn_eps : layer(l).attention_eps;
    uint16_t* observed = nullptr;
    if (kObserved) {
      observed = first_only(is_head  ? p.final_value
                            : is_ffn ? p.outputs[l].ffn_norm
                                     : p.outputs[l].attention_norm);
    }
    norm_x(x_before(h), eps, is_ffn ? first_tag + l : first_tag + l - 1, observed);
  }
  __device__ void run_half(int h, const typename Base::Ready& ready) {
    const int l = h / 2;
    const bool is_ffn = h % 2 == 1;
    const uint32_t tag = first_tag + l;
    columns(l, is_ffn, ready, tag);
    sync();  // `work` is written next
    fetch_norm(!is_ffn            ? layer(l).ffn_norm
               : l + 1 < p.layers ? layer(l + 1).attention_norm
                                  : p.final_norm);
    set_place(l, is_ffn ? kDownPlace : kWoPlace);
    if (kMost > 1 && !is_ffn) fence_words();  // while attention is waited for
    const DecodeOutputs& outputs = p.outputs[l];
    rows({is_ffn ? shared.shares.down : shared.shares.wo,
          is_ffn ? shared.shares.down_cut : shared.shares.wo_cut, activations(l, is_ffn),
          x_before(h), x_after(h), x_later(h), is_ffn ? outputs.down : outputs.wo,
          is_ffn ? outputs.ffn_sum : outputs.attention_sum},
         tag);
  }
  __device__ const uint64_t* activations(int l, bool is_ffn) const {
    if (kMost == 1) return is_ffn ? exchanges.of_product(l) : exchanges.of_attention(l);
    const uint32_t turn = first_turn + l;
    return is_ffn ? exchanges.product_fours(turn) : exchanges.attention_fours(turn);
  }
  // The residual stream's words behind half a layer, what is cleared with them, and those before
  // it; null: the embedding.
  __device__ uint64_t* x_after(int h) const {
    if (kMost > 1) return x_fours(h, first_turn + h / 2);
    return h % 2 == 0 ? exchanges.of_middle(h / 2) : exchanges.of_end(h / 2);
  }
  __device__ uint64_t* x_later(int h) const {
    return kMost > 1 ? x_fours(h, first_turn + h / 2 + kClearedAhead) : nullptr;
  }
  __device__ const uint64_t* x_before(int h) const { return h == 0 ? nullptr : x_after(h - 1); }
  __device__ uint64_t* x_fours(int h, uint32_t turn) const {
    return h % 2 == 0 ? exchanges.middle_fours(turn) : exchanges.end_fours(turn);
  }

  // A slot is one warp's: were its uses shared out, a warp could come a use early, when the slot's
  // phase has the parity that it waits for.
  __device__ Drawn run_head() {
    Drawn drawn;
    const uint32_t x =
        shared_address(this->x_at(shared.head_rows[min(lane % 8, tokens() - 1)], lane / 8 * 8));
    if (kObserved) observe_taken();
    const int tiles = p.head_rows / kTileRows;
    for (int t = static_cast<int>(blockIdx.x); t < tiles; t += kDecodeProcessors) {
      const RingCursor cursor = next;
      next = next.moved(1, at.slots);
      if (cursor.slot != warp) continue;
      wait_phase(&shared.full[warp], cursor.round, patience);
      float c[4] = {};
      run_chain<4 * DecodeMemory::chunk(kMost), Base::kEights>(c, x, slot_line(warp), hidden() / 16,
                                                               lane);
      __syncwarp();
      if (lane < kDecodeWarps) arrive(&shared.empty[warp]);
      if (!has_token()) continue;
      const int id = t * kTileRows + lane % 4 * 2;
      const uint32_t two = pack_bf16(c[0], c[1]);
      *reinterpret_cast<uint32_t*>(p.logits + int64_t{lane / 4} * p.head_rows + id) = two;
      if (p.token != nullptr) this->see(drawn, id, two);
    }
    return drawn;
  }
  // Every block has what is normed; one tells.
  __device__ uint16_t* first_only(uint16_t* to) const { return blockIdx.x == 0 ? to : nullptr; }
  __device__ void observe_taken() const {
    for (int b = 0; b < tokens(); ++b) {
      for (int i = tid; i < hidden() / 2; i += kDecodeComputing) {
        observe<kObserved>(
            first_only(p.final_taken), int64_t{b} * hidden() + 2 * i,
            *reinterpret_cast<const uint32_t*>(this->x_at(shared.head_rows[b], 2 * i)));
        observe<kObserved>(first_only(p.embedded), int64_t{b} * hidden() + 2 * i, embedded(b, i));
      }
    }
  }

  __device__ void check_inputs() const {
    if (tid >= tokens()) return;
    Fault* const fault = this->fault;
    const int64_t position = p.positions[tid];
    const bool is_turned = position >= 0 && position < p.turns;
    if (!is_turned && blockIdx.x == 0) {
      raise(fault, FaultKind::kRopePosition, p.first + tid, position, p.turns);
    }
    // Padding, which writes no slot, has any row.
    const int64_t row = p.rows[tid] - p.first;
    const bool is_there = row >= 0 && row < tokens();
    if (!is_there && p.slots[tid] >= 0 && blockIdx.x == 0) {
      raise(fault, FaultKind::kDecodeRow, p.first + tid, p.first + row, p.first);
    }
    shared.head_rows[tid] = is_there ? static_cast<int>(row) : 0;
  }
  // What is read from here on without waiting for memory; weights are on their way meanwhile.
  __device__ void read_tables(bool is_attention) const {
    auto* table = reinterpret_cast<uint64_t*>(memory + at.table);
    const auto* layers = reinterpret_cast<const uint64_t*>(p.layer);
    const int words = p.layers * static_cast<int>(sizeof(DecodeLayer) / 8);
    for (int i = tid; i < words; i += kDecodeComputing) table[i] = layers[i];
    if (!is_attention) return;
    auto* rope = reinterpret_cast<float*>(memory + at.rope);
    const int half = head_dim() / 2;
    for (int i = tid; i < tokens() * head_dim(); i += kDecodeComputing) {
      const int64_t position = p.positions[i / head_dim()];
      const int64_t turn = position >= 0 && position < p.turns ? position : 0;
      const int column = i % head_dim();
      rope[i] = column < half ? p.cos[turn * half + column] : p.sin[turn * half + column - half];
    }
  }

  __device__ void run() {
    const bool is_attention = static_cast<int>(blockIdx.x) >= shared.shares.processors;
    if (warp >= kDecodeWarps) {
      give_registers<kCopyingRegisters>();
      if (warp > kDecodeWarps) return;
      set_place(0, kRingPlace);
      return produce(is_attention);
    }
    take_registers<kComputingRegisters>();
    read_tables(is_attention);
    check_inputs();
    sync();
    if (is_attention) run_attention();
    if (!is_attention) fetch_norm(layer(0).attention_norm);
#pragma unroll 1
    for (int h = is_attention ? 2 * p.layers : 0;; ++h) {
      const bool is_head = h == 2 * p.layers;
      const bool is_ffn = h % 2 == 1;
      set_place(h / 2, is_head ? kHeadPlace : is_ffn ? kGateUpPlace : kQkvPlace);
      typename Base::Ready ready{};
      if (!is_head) ready = this->ready_columns(is_ffn, 0);
      if (Base::kWaitsFirst && !is_head) this->wait_columns(ready);
      norm_half(h);
      if (is_head) break;
      run_half(h, ready);
    }
    const Drawn drawn = run_head();
    if (p.token != nullptr) {
      set_place(p.layers, kSamplePlace);
      this->draw(drawn, first_tag + p.layers - 1);
    }
    sync();
    if (tid == 0) finish();
  }
  // Attention of all layers, and where it shares the ring, gate and up of each behind it.
  __device__ void run_attention() {
    AttentionBlock<kMost, kObserved, Shape> attention(plan, shared, memory, first_tag, first_turn,
                                                      this->fault);
    attention.find_units();
    if (Base::kSharesRing) fetch_norm(layer(0).ffn_norm);
#pragma unroll 1
    for (int l = 0; l < p.layers; ++l) {
      if (kMost > 1) fence_words();
      attention.run_layer(l);
      if (!Base::kSharesRing) continue;
      free_ring();
      set_place(l, kGateUpPlace);
      const auto ready = this->ready_columns(/*is_gated=*/true, 0);
      norm_half(2 * l + 1);
      columns(l, /*is_gated=*/true, ready, first_tag + l);
      sync();  // keys are written next
      fetch_norm(l + 1 == p.layers ? p.final_norm : layer(l + 1).ffn_norm);
    }
    if (Base::kSharesRing) return;
    free_ring();
    fetch_norm(p.final_norm);
  }
  // Of keys, values and what was found of them.
  __device__ void free_ring() {
    refresh();
    show_steps();
    arrive(&shared.ring_is_free);
  }
  // The last block to end counts the step.
  __device__ void finish() const {
    if (shared.late != 0) {
      raise(this->fault, FaultKind::kDecodeWait, shared.late - 1, static_cast<int>(blockIdx.x),
            p.patience);
    }
    __threadfence();
    if (atomicAdd(exchanges.done, 1u) != kDecodeProcessors - 1) return;
    __threadfence();
    *exchanges.done = 0;
    *exchanges.epoch = *exchanges.epoch + 1;
    if (kMost > 1) *exchanges.turn = *exchanges.turn + static_cast<uint32_t>(p.layers);
    if (p.first > 0) return;  // a step is counted once
    p.progress[0] += 1;
    p.progress[1] += (p.token == nullptr ? 2 : 3) + 5 * p.layers;
  }
};

template <int kMost, bool kObserved, typename Shape>
__global__ void __launch_bounds__(kDecodeThreads, 1)
    decode_kernel(const __grid_constant__ DecodePlan plan, Fault* fault) {
  extern __shared__ __align__(1024) char memory[];
  __shared__ DecodeShared<kMost> shared;
  const auto tid = static_cast<int>(threadIdx.x);
  const PersistentStep& p = plan.step;
  if (tid == 0) {
    shared.late = 0;
    shared.shares.deal(p, static_cast<int>(blockIdx.x));
    for (int i = 0; i < plan.memory.slots; ++i) {
      init_barrier(&shared.full[i], 1);
      init_barrier(&shared.empty[i], kDecodeWarps);
    }
    init_barrier(&shared.ring_is_free, kDecodeComputing);
    publish_barriers();
  }
  __syncthreads();
  const uint32_t first_tag = *plan.exchanges.epoch * static_cast<uint32_t>(p.layers) + 1;
  DecodeBlock<kMost, kObserved, Shape> block(plan, shared, memory, first_tag, *plan.exchanges.turn,
                                             fault);
  block.run();
}

template <int kMost, bool kObserved, typename Shape>
cudaError_t launch_decode(const PersistentStep& step, cudaStream_t stream) {
  const DecodePlan plan(step, kMost);
  const auto bytes = static_cast<size_t>(plan.memory.bytes);
  allow_shared_memory(decode_kernel<kMost, kObserved, Shape>, bytes);
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(kDecodeProcessors);
  config.blockDim = dim3(kDecodeThreads);
  config.dynamicSmemBytes = bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, decode_kernel<kMost, kObserved, Shape>, plan, fault_record());
}

template <typename Shape>
cudaError_t launch_shape(const PersistentStep& step, cudaStream_t stream) {
  if (step.tokens == 1) {
    return step.is_observed ? launch_decode<1, true, Shape>(step, stream)
                            : launch_decode<1, false, Shape>(step, stream);
  }
  return step.is_observed ? launch_decode<kDecodeTokens, true, Shape>(step, stream)
                          : launch_decode<kDecodeTokens, false, Shape>(step, stream);
}

template <typename Shape>
bool has_shape(const PersistentStep& step) {
  return step.hidden == Shape::kHidden && step.heads == Shape::kHeads &&
         step.kv_heads == Shape::kKvHeads && step.head_dim == Shape::kHeadDim &&
         step.inner == Shape::kInner;
}

}  // namespace

const char* why_not_decode(const PersistentStep& step) {
  const auto in = [](int value, int low, int high) { return value >= low && value <= high; };
  const int group = step.kv_heads == 0 ? 0 : step.heads / step.kv_heads;
  const int attention = step.heads * step.head_dim;
  if (!in(step.tokens, 1, kDecodeTokens)) return "more than 8 tokens";
  if (!in(step.layers, 1, kMaxDecodeLayers)) return "more than 48 layers";
  if (step.hidden % 64 != 0 || !in(step.hidden, 64, kSlotDepth)) {
    return "a hidden size that is no multiple of 64 up to 1024";
  }
  if (!in(step.head_dim, 16, 128) || (step.head_dim & (step.head_dim - 1)) != 0) {
    return "a head size that is no power of two from 16 to 128";
  }
  if (!in(group, 1, kMaxGroup)) return "more than 8 query heads for each key-value head";
  if (step.kv_heads > 32) return "more than 32 key-value heads";
  if (step.inner % 128 != 0 || !in(step.inner, 128, 4096)) {
    return "an intermediate size that is no multiple of 128 up to 4096";
  }
  if (attention % 128 != 0 || attention > 4096) {
    return "heads whose size together is no multiple of 128 up to 4096";
  }
  // Whose pages fetch() finds in float32.
  if (step.table_width * step.page_rows > int64_t{1} << 21) return "more than 2097152 keys";
  // Whose terms fit the ring's memory.
  if (step.token != nullptr && step.vocab > kDrawnIds) return "more than 262144 ids to draw from";
  if (step.head_rows % kTileRows != 0) return "a vocabulary that is not padded to a multiple of 8";
  return "";
}

cudaError_t decode_step(const PersistentStep& step, cudaStream_t stream) {
  using Known = Qwen3Of600Million;
  return has_shape<Known>(step) ? launch_shape<Known>(step, stream)
                                : launch_shape<AnyShape>(step, stream);
}

}  // namespace samebits::cuda
