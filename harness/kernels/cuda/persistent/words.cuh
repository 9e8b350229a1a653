#pragma once

// What processors leave each other on their way through a layer: words of two bf16 and a tag, in
// one 64-bit access, so that whoever sees the tag has the values. No flag, no fence, no second
// read.
//
// The words of two layers take turns, so that they stay in the L2. Nobody writes a layer's words
// before all have read those of two layers before: what it writes depends on all of them.

#include "harness/kernels/cuda/persistent/memory.cuh"

namespace samebits::cuda {

__device__ inline void put_word(uint64_t* to, uint32_t two, uint32_t tag) {
  const uint64_t word = static_cast<uint64_t>(tag) << 32 | two;
  asm volatile("st.relaxed.gpu.global.b64 [%0], %1;\n" ::"l"(to), "l"(word) : "memory");
}
__device__ inline uint64_t get_word(const uint64_t* from) {
  uint64_t word = 0;
  asm volatile("ld.relaxed.gpu.global.b64 %0, [%1];\n" : "=l"(word) : "l"(from) : "memory");
  return word;
}
__device__ inline void get_words(const uint64_t* from, uint64_t (&words)[2]) {
  asm volatile("ld.relaxed.gpu.global.v2.b64 {%0, %1}, [%2];\n"
               : "=l"(words[0]), "=l"(words[1])
               : "l"(from)
               : "memory");
}

__device__ inline bool has_tag(uint64_t word, uint32_t tag) {
  return static_cast<uint32_t>(word >> 32) == tag;
}

// words[i] at(i) for i < count, all of which carry the tag: all on their way before the first is
// looked at.
template <int kMost, typename At>
__device__ void wait_words(uint64_t (&words)[kMost], int count, uint32_t tag,
                           const Patience& patience, At at) {
#pragma unroll
  for (int i = 0; i < kMost; ++i) {
    if (i < count) words[i] = get_word(at(i));
  }
  Patience::Wait wait;
  for (;;) {
    bool all = true;
#pragma unroll
    for (int i = 0; i < kMost; ++i) {
      if (i >= count || has_tag(words[i], tag)) continue;
      words[i] = get_word(at(i));
      all = false;
    }
    if (all || patience.ends(wait)) return;
  }
}

// The same of words that one processor writes together: the others are read when the first is
// there, since looks at all of them would hold up everybody's.
template <int kMost, typename At>
__device__ void wait_together(uint64_t (&words)[kMost], int count, uint32_t tag,
                              const Patience& patience, At at) {
  Patience::Wait wait;
  for (;;) {
    words[0] = get_word(at(0));
    if (has_tag(words[0], tag)) break;
    if (patience.ends(wait)) return;
  }
  if (kMost > 1) wait_words(words, count, tag, patience, at);
}

// The same of neighbouring pairs of words.
template <int kMost, typename At, typename Is>
__device__ void wait_pairs(uint64_t (&words)[kMost][2], uint32_t tag, const Patience& patience,
                           Is is_wanted, At at) {
#pragma unroll
  for (int i = 0; i < kMost; ++i) {
    if (is_wanted(i)) get_words(at(i), words[i]);
  }
  Patience::Wait wait;
  for (;;) {
    bool all = true;
#pragma unroll
    for (int i = 0; i < kMost; ++i) {
      if (!is_wanted(i) || (has_tag(words[i][0], tag) && has_tag(words[i][1], tag))) continue;
      get_words(at(i), words[i]);
      all = false;
    }
    if (all || patience.ends(wait)) return;
  }
}

// The exchanges of a step, and counters before them (decode_tiles.h).
struct Exchanges {
  uint32_t* epoch;  // steps that have ended
  uint32_t* done;   // blocks that have ended
  uint64_t* words;
  int qkv, attention, inner, hidden;  // words of a token
  uint64_t* drawn;                    // what is left to draw tokens with

  explicit Exchanges(const PersistentStep& p)
      : epoch(reinterpret_cast<uint32_t*>(p.exchanges)),
        done(epoch + 1),
        words(reinterpret_cast<uint64_t*>(p.exchanges) + kExchangeHead),
        qkv((p.heads + 2 * p.kv_heads) * p.head_dim / 2),
        attention(p.heads * p.head_dim / 2),
        inner(p.inner / 2),
        hidden(p.hidden / 2),
        drawn(words + 2 * kDecodeTokens * (qkv + attention + inner + 2 * hidden)) {}

  // Of a layer; a token's words are `width` apart.
  __device__ uint64_t* of_qkv(int layer) const { return at(layer, 0, qkv); }
  __device__ uint64_t* of_attention(int layer) const { return at(layer, qkv, attention); }
  __device__ uint64_t* of_product(int layer) const { return at(layer, qkv + attention, inner); }
  // After attention, and after the feed forward block.
  __device__ uint64_t* of_middle(int layer) const {
    return at(layer, qkv + attention + inner, hidden);
  }
  __device__ uint64_t* of_end(int layer) const {
    return at(layer, qkv + attention + inner + hidden, hidden);
  }

  // Of a token's logits, by processor: the largest, the best score, its id.
  __device__ uint64_t* of_largest() const { return drawn; }
  __device__ uint64_t* of_scores() const { return drawn + kDecodeTokens * kDecodeProcessors; }
  __device__ uint64_t* of_ids() const { return drawn + 2 * kDecodeTokens * kDecodeProcessors; }
  // The lanes of a token's sum.
  __device__ uint64_t* of_sums() const { return drawn + 3 * kDecodeTokens * kDecodeProcessors; }

 private:
  __device__ uint64_t* at(int layer, int before, int width) const {
    return words + static_cast<uint32_t>(kDecodeTokens * (2 * before + (layer % 2) * width));
  }
};

}  // namespace samebits::cuda
