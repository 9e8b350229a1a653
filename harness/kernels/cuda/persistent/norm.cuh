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

  // The weight of the next norm: from memory it takes long.
  __device__ void fetch_norm(const uint16_t* weight) const {
    if (2 * tid < hidden()) copy_4(memory + at.norm + 4 * tid, weight + 2 * tid);
    commit_copies();
  }

  // Two elements of a token's embedding; an id outside has a row of -0 (embedding.h).
  __device__ uint32_t embedded(int b, int pair) const {
    const int64_t id = p.ids[b];
    if (id < 0 || id >= p.embedding_rows) return 0x80008000u;
    return *reinterpret_cast<const uint32_t*>(p.embedding + id * hidden() + 2 * pair);
  }

  // What a thread has of x: with one token a pair, else two eights of one token.
  static constexpr int kOwn = kMost == 1 ? 1 : 2;    // pieces
  static constexpr int kPairs = kMost == 1 ? 1 : 4;  // of a piece
  __device__ int own_token() const { return kMost == 1 ? 0 : tid % kDecodeTokens; }
  __device__ int first_of(int n) const {  // of the elements of a piece
    return kMost == 1 ? 2 * tid
                      : (tid / kDecodeTokens + n * (kDecodeComputing / kDecodeTokens)) * 8;
  }
  __device__ bool is_own(int n) const { return own_token() < tokens() && first_of(n) < hidden(); }

  // Those, from words, or where `from` is null from the embedding.
  __device__ void gather_x(uint32_t (&x)[kOwn][kPairs], const uint64_t* from, uint32_t tag) const {
    const int token = own_token();
    if (from == nullptr) {
#pragma unroll
      for (int n = 0; n < kOwn; ++n) {
#pragma unroll
        for (int i = 0; i < kPairs; ++i) {
          if (is_own(n)) x[n][i] = embedded(token, first_of(n) / 2 + i);
        }
      }
    } else if constexpr (kMost == 1) {
      uint64_t words[1] = {};
      if (is_own(0)) wait_words(words, 1, tag, patience, [&](int) { return from + tid; });
      x[0][0] = static_cast<uint32_t>(words[0]);
    } else {
      uint64_t words[kOwn][2] = {};
      wait_pairs(
          words, patience, [](uint64_t word) { return word != 0; },
          [&](int n) { return is_own(n); },
          [&](int n) { return from + word_of(token, first_of(n)); });
#pragma unroll
      for (int n = 0; n < kOwn; ++n) {
#pragma unroll
        for (int i = 0; i < kPairs; ++i) {
          x[n][i] = ~static_cast<uint32_t>(words[n][i / 2] >> (i % 2 * 32));
        }
      }
    }
  }

  // x normed, into `work`, by the weight that fetch_norm() asked for.
  __device__ void norm_x(const uint64_t* from, float eps, uint32_t tag, uint16_t* observed) {
    refresh();
    // What needs no words is found before they are waited for.
    auto* squares = reinterpret_cast<float*>(this->fresh(at.work));
    const int line = DecodeMemory::squares_line(hidden());
    const int of_token = DecodeMemory::squares_of_token(hidden());
    const int token = own_token();
    const auto* sums =
        reinterpret_cast<const float4*>(squares + warp * of_token + lane % 16 * line);
    uint32_t x[kOwn][kPairs] = {};
    gather_x(x, from, tag);
#pragma unroll
    for (int n = 0; n < kOwn; ++n) {
      if (!is_own(n)) continue;
      const int first = first_of(n);
      float* const to = squares + token * of_token + first % 16 * line + first / 16;
#pragma unroll
      for (int i = 0; i < kPairs; ++i) {
        const float x0 = lower_of(x[n][i]);
        const float x1 = upper_of(x[n][i]);
        to[2 * i * line] = x0 * x0;
        to[(2 * i + 1) * line] = x1 * x1;
      }
    }
    wait_copies<0>();  // the weight
    sync();
    uint32_t weight[kOwn][kPairs];
#pragma unroll
    for (int n = 0; n < kOwn; ++n) {
#pragma unroll
      for (int i = 0; i < kPairs; ++i) {
        weight[n][i] =
            is_own(n)
                ? *reinterpret_cast<const uint32_t*>(this->fresh(at.norm) + 2 * first_of(n) + 4 * i)
                : 0;
      }
    }
    // Among the parts of rows, which were joined before that barrier.
    auto* inverse = reinterpret_cast<float*>(this->fresh(at.parts));
    find_inverse(sums, eps, inverse);
    sync();
    const float r = inverse[token];
#pragma unroll
    for (int n = 0; n < kOwn; ++n) {
      if (!is_own(n)) continue;
      uint32_t normed[kPairs];
#pragma unroll
      for (int i = 0; i < kPairs; ++i) {
        const uint32_t scaled = round_two(lower_of(x[n][i]) * r, upper_of(x[n][i]) * r);
        normed[i] = round_two(lower_of(weight[n][i]) * lower_of(scaled),
                              upper_of(weight[n][i]) * upper_of(scaled));
      }
      char* const to = x_at(token, first_of(n));
      const int64_t seen = token * hidden() + first_of(n);
      if constexpr (kPairs == 1) {
        *reinterpret_cast<uint32_t*>(to) = normed[0];
        observe<kObserved>(observed, seen, normed[0]);
      } else {
        const uint4 eight = {normed[0], normed[1], normed[2], normed[3]};
        *reinterpret_cast<uint4*>(to) = eight;
        observe<kObserved>(observed, seen, eight);
      }
    }
    show_steps();
    sync();
  }
  // A NaN of any bits is as good where nobody sees it: what a matrix step makes of it is the same.
  __device__ static uint32_t round_two(float low, float high) {
    if (kObserved) return pack_bf16(low, high);
    uint32_t two = 0;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(two) : "f"(high), "f"(low));
    return two;
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
