#pragma once

// The end of a persistent decode step: each token's next one, as sample.h draws it without filters.
// Whoever makes a logit scores it beside the stream of weights; then every processor learns the
// largest logit and adds up terms of some lanes of a token's strided sum, and one for each token, from
// all that others have left, finds the best score and the log-probability.

#include "harness/kernels/cuda/persistent/products.cuh"
#include "harness/kernels/cuda/rows/sample.cuh"
#include "harness/kernels/log_softmax.h"

namespace samebits::cuda {

// Of the logits that somebody has seen.
struct Drawn {
  Best best{0.0f, -1};
  float largest = -INFINITY;
};

__device__ inline Drawn better(const Drawn& a, const Drawn& b) {
  return {better(a.best, b.best), larger(a.largest, b.largest)};
}
// Of this lane, and of those whose numbers differ from its own in the bits from `least` to `most`.
__device__ inline Drawn best_of_lanes(Drawn drawn, int least, int most) {
  for (int width = least; width <= most; width *= 2) {
    const Best other{__shfl_xor_sync(0xffffffffu, drawn.best.value, width),
                     __shfl_xor_sync(0xffffffffu, drawn.best.id, width)};
    drawn = better(drawn, Drawn{other, __shfl_xor_sync(0xffffffffu, drawn.largest, width)});
  }
  return drawn;
}

template <int kMost, bool kObserved, typename Shape>
struct SampleThread : ProductThread<kMost, kObserved, Shape> {
  using Base = ProductThread<kMost, kObserved, Shape>;
  using Base::at, Base::exchanges, Base::has_token, Base::lane, Base::memory, Base::p, Base::parts,
      Base::patience, Base::sync, Base::tid, Base::tokens, Base::warp;
  using Base::Base;

  // Of two neighbouring logits of token lane / 4, the first id of which is even, by whom made them.
  __device__ void see(Drawn& drawn, int64_t id, uint32_t two) const {
    const float logits[2] = {lower_of(two), upper_of(two)};
    uint32_t words[2] = {};
    if (p.temperature != 0.0f) {
      const auto four = words_of_four(id / 4 * 4, p.keys + lane / 4 * 2, p.seed);
      words[0] = id % 4 == 0 ? four[0] : four[2];
      words[1] = id % 4 == 0 ? four[1] : four[3];
    }
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      if (id + e >= p.vocab) continue;
      drawn.largest = larger(drawn.largest, logits[e]);
      const float score =
          p.temperature == 0.0f ? logits[e] : gumbel_score(logits[e] / p.temperature, words[e]);
      consider(score, id + e, drawn.best);
    }
  }

  // `mine`: of this lane's logits, all of which are written.
  __device__ void draw(Drawn mine, uint32_t tag) {
    publish_block(mine, tag);
    const float* most = wait_for_largest(tag);
    add_terms(most, tag);
    if (static_cast<int>(blockIdx.x) < tokens() && warp == 1) choose(most, tag);
  }

 private:
  // What a processor adds up of a token's strided sum: neighbours of a row, so that a load has all
  // lanes of it, or with several tokens half.
  static constexpr int kLanesOfBlock = kMost == 1 ? 2 : 16;
  static constexpr int kBlocksOfToken = static_cast<int>(kSoftmaxLanes) / kLanesOfBlock;
  static_assert(kMost * kBlocksOfToken <= kDecodeProcessors);
  static constexpr int kLanesOfLoad = kMost == 1 ? 2 : 8;

  // The best of a block's logits of each token, to all other blocks, who see the logits, too.
  __device__ void publish_block(Drawn mine, uint32_t tag) const {
    mine = best_of_lanes(mine, 1, 2);
    auto* found = reinterpret_cast<Drawn*>(parts());  // [tokens][warps]
    if (lane % 4 == 0 && has_token()) found[lane / 4 * kDecodeWarps + warp] = mine;
    sync();
    if (warp >= tokens()) return;
    mine = best_of_lanes(found[warp * kDecodeWarps + lane % kDecodeWarps], 1, kDecodeWarps / 2);
    if (lane != 0) return;
    __threadfence();
    const int own = warp * kDecodeProcessors + static_cast<int>(blockIdx.x);
    put_word(exchanges.of_largest() + own, __float_as_uint(mine.largest), tag);
    put_word(exchanges.of_scores() + own, __float_as_uint(mine.best.value), tag);
    put_word(exchanges.of_ids() + own, static_cast<uint32_t>(mine.best.id), tag);
  }

  static constexpr int kWordsOfLane = (kDecodeProcessors + 31) / 32;
  // A token's words of all processors, by a warp.
  __device__ void wait_for_all(uint64_t (&words)[kWordsOfLane], const uint64_t* from, int token,
                               uint32_t tag) const {
    const int count = (kDecodeProcessors - lane + 31) / 32;
    from += token * kDecodeProcessors + lane;
    wait_words(words, count, tag, patience, [&](int i) { return from + 32 * i; });
  }

  // Of all logits of each token.
  __device__ const float* wait_for_largest(uint32_t tag) const {
    auto* most = reinterpret_cast<float*>(this->fresh(at.work));
    if (warp < tokens()) {
      uint64_t words[kWordsOfLane] = {};
      wait_for_all(words, exchanges.of_largest(), warp, tag);
      float largest = -INFINITY;
#pragma unroll
      for (int i = 0; i < kWordsOfLane; ++i) {
        if (lane + 32 * i >= kDecodeProcessors) continue;
        largest = larger(largest, __uint_as_float(static_cast<uint32_t>(words[i])));
      }
      largest = max_of_warp(largest);
      if (lane == 0) most[warp] = largest;
      __threadfence();  // what others wrote before their words
    }
    sync();
    return most;
  }

  __device__ void add_terms(const float* most, uint32_t tag) const {
    const int token = static_cast<int>(blockIdx.x) / kBlocksOfToken;
    if (token >= tokens()) return;
    const int first = static_cast<int>(blockIdx.x) % kBlocksOfToken * kLanesOfBlock;
    const int line = terms_line(p.vocab);
    auto* terms = reinterpret_cast<float*>(memory + at.ring);  // [kLanesOfBlock][line]
    put_terms(terms, line, p.logits + int64_t{token} * p.head_rows + first, first, most[token]);
    sync();
    if (tid >= kLanesOfBlock) return;
    const int own = first + tid;
    const auto left = static_cast<int>(p.vocab - own + kSoftmaxLanes - 1);
    const int terms_of_lane = left < 0 ? 0 : left / static_cast<int>(kSoftmaxLanes);
    const float sum = sum_in_order(terms + tid * line, terms_of_lane);
    put_word(exchanges.of_sums() + token * kSoftmaxLanes + own, __float_as_uint(sum), tag);
  }
  // The terms of lanes from `first` on, whose logits are half a kilobyte apart.
  __device__ void put_terms(float* terms, int line, const uint16_t* logits, int first,
                            float most) const {
    constexpr int kLoads = kLanesOfBlock / kLanesOfLoad;
    const int count = static_cast<int>((p.vocab + kSoftmaxLanes - 1) / kSoftmaxLanes);
#pragma unroll 4
    for (int i = tid; i < count * kLoads; i += kDecodeComputing) {
      const int term = i / kLoads;
      const int own = i % kLoads * kLanesOfLoad;
      const int64_t at_first = int64_t{term} * kSoftmaxLanes + own;
      if (at_first + first >= p.vocab) continue;
      uint32_t pairs[kLanesOfLoad / 2];
      if constexpr (kMost == 1) {
        pairs[0] = __ldcg(reinterpret_cast<const uint32_t*>(logits + at_first));
      } else {
        const uint4 eight = __ldcg(reinterpret_cast<const uint4*>(logits + at_first));
        pairs[0] = eight.x;
        pairs[1] = eight.y;
        pairs[2] = eight.z;
        pairs[3] = eight.w;
      }
      float own_terms[kLanesOfLoad];
#pragma unroll
      for (int j = 0; j < kLanesOfLoad / 2; ++j) {
        own_terms[2 * j] = lower_of(pairs[j]) - most;
        own_terms[2 * j + 1] = upper_of(pairs[j]) - most;
      }
      exp_all(own_terms);
      float* const to = terms + own * line + term;
#pragma unroll
      for (int j = 0; j < kLanesOfLoad; ++j) to[j * line] = own_terms[j];
    }
  }
  __device__ static float sum_in_order(const float* terms, int count) {
    float sum = 0.0f;
    int i = 0;
#pragma unroll 8
    for (; i + 4 <= count; i += 4) {
      const float4 four = *reinterpret_cast<const float4*>(terms + i);
      sum = sum + four.x;
      sum = sum + four.y;
      sum = sum + four.z;
      sum = sum + four.w;
    }
    for (; i < count; ++i) sum = sum + terms[i];
    return sum;
  }

  // By a warp of the token's own processor.
  __device__ void choose(const float* most, uint32_t tag) {
    const auto token = static_cast<int>(blockIdx.x);
    if (lane == 0) check_key(p.keys + 2 * token, p.first + token, this->fault);
    uint64_t scores[kWordsOfLane] = {};
    uint64_t ids[kWordsOfLane] = {};
    wait_for_all(scores, exchanges.of_scores(), token, tag);
    wait_for_all(ids, exchanges.of_ids(), token, tag);
    Best best{0.0f, -1};
#pragma unroll
    for (int i = 0; i < kWordsOfLane; ++i) {
      if (lane + 32 * i >= kDecodeProcessors) continue;
      best = better(best, {__uint_as_float(static_cast<uint32_t>(scores[i])),
                           static_cast<int32_t>(static_cast<uint32_t>(ids[i]))});
    }
    best = best_of_warp(best);
    const int64_t id = best.id < 0 ? 0 : best.id;  // 0 where nothing can win
    const float logit = bf16_to_f32(__ldcg(p.logits + int64_t{token} * p.head_rows + id));
    const float lse = canonical_nan_f32(most[token] + log_f32(sum_of_all(token, tag)));
    if (lane != 0) return;
    p.token[token] = id;
    p.logprob[token] = canonical_nan_f32(logit - lse);
  }
  // The tree over the sum's lanes, to lane 0.
  __device__ float sum_of_all(int token, uint32_t tag) const {
    constexpr int kOfLane = static_cast<int>(kSoftmaxLanes) / 32;
    uint64_t words[kOfLane] = {};
    const uint64_t* from = exchanges.of_sums() + token * kSoftmaxLanes + lane;
    wait_words(words, kOfLane, tag, patience, [&](int i) { return from + 32 * i; });
    float sums[kOfLane];
#pragma unroll
    for (int i = 0; i < kOfLane; ++i) sums[i] = __uint_as_float(static_cast<uint32_t>(words[i]));
#pragma unroll
    for (int width = kOfLane / 2; width > 0; width /= 2) {
#pragma unroll
      for (int i = 0; i < width; ++i) sums[i] = sums[i] + sums[i + width];
    }
    return fold_lanes<32>(sums[0]);
  }
};

}  // namespace samebits::cuda
