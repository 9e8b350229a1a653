#pragma once

#include <stdint.h>

#include "harness/kernels/cpu/math.h"
#include "harness/kernels/log_softmax.h"

// How a decode step that runs as one kernel is shared out among a card's processors. Plain
// arithmetic, so that the kernel, the CPU that interprets the same stages, and tests agree.
//
// A product out = x W^T is cut into tiles of kTileRows rows of W. Of a step's processors the last
// few hold keys and values and compute attention; the others have the tiles. All of them take part
// in the last product, the model's head.
namespace samebits {

constexpr int kTileRows = 8;
constexpr int kDecodeProcessors = 132;  // of an H100 or H200
constexpr int kDecodeTokens = 8;        // that one launch takes
constexpr int64_t kDrawnIds = 1 << 18;  // of a vocabulary that tokens are drawn from, at most

// A processor's tiles of a product: first, first + stride, ..., `count` of them.
struct TileShare {
  int first;
  int stride;
  int count;
};

// Dealt among the first `processors`, beginning with number `offset`.
SAMEBITS_MATH TileShare share_of(int tiles, int offset, int processor, int processors) {
  if (processor >= processors) return {0, processors, 0};
  int first = processor - offset;
  if (first < 0) first += processors;
  const int count = first < tiles ? (tiles - first + processors - 1) / processors : 0;
  return {first, processors, count};
}

// Tiles of a layer's products: q k v, wo, gate and up, down.
constexpr int kLayerProducts = 4;
constexpr int kGatedProduct = 2;
struct LayerTiles {
  int of[kLayerProducts];
};

// Who has a layer's product: the first `processors`, of whom number `offset` begins. What is left
// over of each product goes to others than of the one before. Where a few have a tile of `down`
// more than the rest, which takes much room of what weights come through, those are the last ones,
// and they have none of q k v: everybody would wait for them.
struct Deal {
  int offset;
  int processors;
};
SAMEBITS_MATH Deal deal_of(const LayerTiles& tiles, int product, int processors) {
  const int down = tiles.of[kLayerProducts - 1];
  const int more = down > processors ? down % processors : 0;
  const int spared = more <= processors / 8 ? more : 0;
  Deal deal{0, processors - spared};
  for (int i = 0; i < product; ++i) {
    deal = {(deal.offset + tiles.of[i]) % deal.processors, processors};
  }
  if (product == kLayerProducts - 1 && spared > 0) deal.offset = processors - spared;
  return deal;
}

// Processors for attention, where each key-value head of each token is a unit of work.
SAMEBITS_MATH int attention_processors(int units) {
  const int most = units <= 8 ? 8 : 64;
  return units < most ? units : most;
}

// With several tokens attention's processors are many, and idle for most of a layer: they have
// tiles of gate and up, too, through the memory that holds their keys and values before and after.
SAMEBITS_MATH constexpr bool attention_has_tiles(int tokens) { return tokens > 1; }

// The same of a step's tokens, where all processors may share gate and up.
SAMEBITS_MATH Deal deal_of_step(LayerTiles tiles, int product, int tokens, int kv_heads) {
  if (attention_has_tiles(tokens)) {
    if (product == kGatedProduct) return {0, kDecodeProcessors};
    tiles.of[kGatedProduct] = 0;
  }
  return deal_of(tiles, product, kDecodeProcessors - attention_processors(tokens * kv_heads));
}

// Widths of a layer's activations.
struct DecodeWidths {
  int64_t hidden;
  int64_t qkv;        // queries, keys and values
  int64_t attention;  // all heads
  int64_t inner;      // of the gated product
};

// What processors leave each other, in 64-bit words after a head of counters: two bf16 and a tag,
// for two layers in turn; of all but queries, keys and values four bf16 too, four layers in turn;
// then words of a float or an id and a tag, three of each processor and one of each lane of a sum
// for each token that is drawn. All zero before the first step.
constexpr int64_t kExchangeHead = 64;
SAMEBITS_MATH int64_t exchange_words(DecodeWidths widths) {
  const int64_t others = widths.attention + widths.inner + 2 * widths.hidden;
  const int64_t drawn = 3 * kDecodeProcessors + kSoftmaxLanes;
  return kExchangeHead + kDecodeTokens * (widths.qkv + 2 * others + drawn);
}

}  // namespace samebits
