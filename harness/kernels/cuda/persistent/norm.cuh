#pragma once

// The residual stream of a persistent decode step: gathered from all processors, normed into the
// block's own memory, and its rows as operands of the matrix step.

#include "harness/kernels/cuda/persistent/ring.cuh"
#include "harness/kernels/cuda/runtime/wgmma.cuh"

namespace samebits::cuda {

template <int kMost, bool kObserved, typename Shape>
struct NormThread : RingThread<kMost, Shape> {
  using Base = RingThread<kMost, Shape>;
  using Base::at, Base::exchanges, Base::lane, Base::memory, Base::p, Base::patience, Base::refresh,
      Base::shared, Base::sync, Base::tid, Base::warp;
  using Base::Base;
  using Base::hidden, Base::tokens;

  __device__ void observe(uint16_t* to, int64_t index, uint16_t value) const {
    if (kObserved && to != nullptr) to[index] = value;
  }

  // The weight of the next norm, a thread what it uses itself: from memory it takes long.
  __device__ void fetch_norm(const uint16_t* weight) const {
    if (2 * tid < hidden()) copy_4(memory + at.norm + 4 * tid, weight + 2 * tid);
    commit_copies();
  }

  // The two elements of each token that a thread has, from words, or where those are null from the
  // embedding.
  __device__ void gather_x(uint64_t (&words)[kMost], const uint64_t* from, uint32_t tag) {
    if (2 * tid >= hidden()) return;
    if (from != nullptr) {
      wait_together(words, tokens(), tag, patience,
                    [&](int b) { return from + b * exchanges.hidden + tid; });
      return;
    }
#pragma unroll
    for (int b = 0; b < kMost; ++b) {
      if (b < tokens()) words[b] = embedded(b, tid);
    }
  }
  // Two elements of a token's embedding; an id outside has a row of -0 (embedding.h).
  __device__ uint32_t embedded(int b, int pair) const {
    const int64_t id = p.ids[b];
    if (id < 0 || id >= p.embedding_rows) return 0x80008000u;
    return *reinterpret_cast<const uint32_t*>(p.embedding + id * hidden() + 2 * pair);
  }

  // x normed, into `work`, by the weight that fetch_norm() asked for.
  __device__ void norm_x(const uint64_t* from, float eps, uint32_t tag, uint16_t* observed) {
    refresh();
    // What needs no words is found before they are waited for.
    auto* squares = reinterpret_cast<float*>(this->fresh(at.work));
    const int line = DecodeMemory::squares_line(hidden());
    float* const own = squares + tid % 8 * 2 * line + tid / 8;
    const auto* sums = reinterpret_cast<const float4*>(squares + (warp * 16 + lane % 16) * line);
    uint64_t words[kMost] = {};
    gather_x(words, from, tag);
#pragma unroll
    for (int b = 0; b < kMost; ++b) {
      if (b >= tokens() || 2 * tid >= hidden()) continue;
      const float x0 = lower_of(static_cast<uint32_t>(words[b]));
      const float x1 = upper_of(static_cast<uint32_t>(words[b]));
      float* to = own + b * 16 * line;
      to[0] = x0 * x0;
      to[line] = x1 * x1;
    }
    sync();
    wait_copies<0>();
    const uint32_t weight =
        2 * tid < hidden() ? *reinterpret_cast<const uint32_t*>(this->fresh(at.norm) + 4 * tid) : 0;
    const float w0 = lower_of(weight);
    const float w1 = upper_of(weight);
    // Among the parts of rows, which were joined before that barrier.
    auto* inverse = reinterpret_cast<float*>(this->fresh(at.parts));
    find_inverse(sums, eps, inverse);
    sync();
    float inverses[kMost];
#pragma unroll
    for (int b = 0; b < kMost; ++b) inverses[b] = inverse[b];
#pragma unroll
    for (int b = 0; b < kMost; ++b) {
      if (b >= tokens() || 2 * tid >= hidden()) continue;
      const float r = inverses[b];
      const auto x = static_cast<uint32_t>(words[b]);
      const uint32_t scaled = pack_bf16(lower_of(x) * r, upper_of(x) * r);
      const uint32_t two = pack_bf16(w0 * lower_of(scaled), w1 * upper_of(scaled));
      *reinterpret_cast<uint32_t*>(x_at(b, 2 * tid)) = two;
      observe(observed, b * hidden() + 2 * tid, static_cast<uint16_t>(two));
      observe(observed, b * hidden() + 2 * tid + 1, static_cast<uint16_t>(two >> 16));
    }
    show_steps();
    sync();
  }
  // An element of a token's normed x.
  __device__ char* x_at(int b, int i) const {
    return this->fresh(at.work) + i / 8 * DecodeMemory::chunk(kMost) + b * 16 + i % 8 * 2;
  }
  // A warp a token, a lane one of the partial sums of rms_norm.h, of which it has the terms.
  __device__ void find_inverse(const float4* row, float eps, float* inverse) const {
    if (warp >= tokens()) return;
    float sum = 0.0f;
#pragma unroll 16
    for (int j = 0; j < hidden() / 64; ++j) {
      const float4 four = row[j];
      sum = sum + four.x;
      sum = sum + four.y;
      sum = sum + four.z;
      sum = sum + four.w;
    }
    sum = fold_lanes<16>(sum);
    if (lane == 0) inverse[warp] = 1.0f / sqrtf(sum / static_cast<float>(hidden()) + eps);
  }

  // This lane's line of a token's row; tokens that are not there repeat the last.
  __device__ uint32_t token_line(const char* rows, int line) const {
    return shared_address(rows) + min(lane % 8, tokens() - 1) * line + lane / 8 * 16;
  }
  // Whether this lane has results, of token lane / 4.
  __device__ bool has_token() const { return lane / 4 < tokens(); }
};

}  // namespace samebits::cuda
