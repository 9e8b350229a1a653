#pragma once

// What processors leave each other on their way through a layer, in 64-bit accesses. No flag, no
// second read.
//
// Words of two bf16 and a tag: whoever sees the tag has the values. The words of two layers take
// turns, so that they stay in the L2. Nobody writes a layer's words before all have read those of
// two layers before: what it writes depends on all of them.
//
// With several tokens, what every processor reads all of, the residual stream, attention's values
// and the product, is half as many words: four bf16, complemented. None is 0, since a NaN has the
// contract's bits; 0 stands until a word has come. The words of four layers take turns. Whoever
// writes a layer's clears those of the second layer after it, which all have read, for all tokens
// that there could be. All threads have a fence once a layer, so that who looks for what was
// cleared sees that.

#include "harness/kernels/cuda/persistent/memory.cuh"

namespace samebits::cuda {

__device__ inline void put_value(uint64_t* to, uint64_t word) {
  asm volatile("st.relaxed.gpu.global.b64 [%0], %1;\n" ::"l"(to), "l"(word) : "memory");
}
__device__ inline void put_word(uint64_t* to, uint32_t two, uint32_t tag) {
  put_value(to, static_cast<uint64_t>(tag) << 32 | two);
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

// See above.
constexpr uint32_t kClearedAhead = 2;
// Where value i of a token is among a layer's words of four: eights, those of all tokens together,
// so that a tile's are a line of the L2.
__device__ inline int word_of(int token, int i) {
  return i / 8 * (2 * kDecodeTokens) + token * 2 + i % 8 / 4;
}
__device__ inline void put_four(uint64_t* to, uint32_t two, uint32_t next_two) {
  put_value(to, ~(static_cast<uint64_t>(next_two) << 32 | two));
}
__device__ inline void clear_four(uint64_t* to) { put_value(to, 0); }
__device__ inline void fence_words() { asm volatile("fence.acq_rel.gpu;\n" ::: "memory"); }

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

// The same of neighbouring pairs of words, which `has_come` tells.
template <int kMost, typename HasCome, typename Is, typename At>
__device__ void wait_pairs(uint64_t (&words)[kMost][2], const Patience& patience, HasCome has_come,
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
      if (!is_wanted(i) || (has_come(words[i][0]) && has_come(words[i][1]))) continue;
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
  uint32_t* turn;   // layers that steps of several tokens have had: words of four go on from there
  uint64_t* words;
  int qkv, attention, inner, hidden;  // words of a token, two values each
  uint64_t* fours;
  uint64_t* drawn;  // what is left to draw tokens with

  explicit Exchanges(const PersistentStep& p)
      : epoch(reinterpret_cast<uint32_t*>(p.exchanges)),
        done(epoch + 1),
        turn(epoch + 2),
        words(reinterpret_cast<uint64_t*>(p.exchanges) + kExchangeHead),
        qkv((p.heads + 2 * p.kv_heads) * p.head_dim / 2),
        attention(p.heads * p.head_dim / 2),
        inner(p.inner / 2),
        hidden(p.hidden / 2),
        fours(words + 2 * kDecodeTokens * (qkv + attention + inner + 2 * hidden)),
        drawn(fours + 2 * kDecodeTokens * (attention + inner + 2 * hidden)) {}

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
  // Words of four, by the layer's tag, which goes on from step to step; see word_of().
  __device__ uint64_t* attention_fours(uint32_t turn) const { return fours_at(turn, 0, attention); }
  __device__ uint64_t* product_fours(uint32_t turn) const {
    return fours_at(turn, attention, inner);
  }
  __device__ uint64_t* middle_fours(uint32_t turn) const {
    return fours_at(turn, attention + inner, hidden);
  }
  __device__ uint64_t* end_fours(uint32_t turn) const {
    return fours_at(turn, attention + inner + hidden, hidden);
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
  __device__ uint64_t* fours_at(uint32_t turn, int before, int width) const {
    return fours + kDecodeTokens * (4 * before + turn % 4 * width) / 2;
  }
};

}  // namespace samebits::cuda
