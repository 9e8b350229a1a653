#pragma once

// What kernels for few rows share (skinny.cu, norm_linears.cu). Boxes of k lie in shared
// memory; a warp has eight rows of the long side, the n8 of the step, and all of the short one, its
// m16.

#include "harness/kernels/cuda/gemm/gemm.cuh"
#include "harness/kernels/cuda/runtime/tma.cuh"

namespace samebits::cuda {

constexpr int kSkinnyTile = 8;
constexpr int kSkinnyWarps = 9;          // of a block, at most
constexpr int kSkinnyStages = 6;         // of its ring, at most
constexpr int kSkinnyBytes = 208 << 10;  // of shared memory for both sides

// What a warp reads for two steps.
template <int kShortTiles>
struct TwoSteps {
  uint32_t few[2][kShortTiles][4];
  uint32_t many[4];
};

// A warp's place in a stage's boxes.
template <int kShortTiles>
struct Lines {
  int many;
  int few[kShortTiles];
  int lane;

  // Of slices of so many rows.
  __device__ Lines(int long_rows, int short_rows, int tile, int slice, int lane) : lane(lane) {
    many = slice * long_rows + tile * kSkinnyTile + lane % 8;
    // Rows that are not there read the last one; their results are not written.
    for (int t = 0; t < kShortTiles; ++t) {
      few[t] = slice * short_rows + min(t * 16 + lane % 16, short_rows - 1);
    }
  }

  // Steps 2 * pair and the next of a box.
  __device__ void read(TwoSteps<kShortTiles>& to, char* long_box, char* short_box, int pair) const {
    load_matrices(to.many, box_chunk(long_box, many, pair * 4 + lane / 8));
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int t = 0; t < kShortTiles; ++t) {
        load_matrices(to.few[i][t], box_chunk(short_box, few[t], pair * 4 + i * 2 + lane / 16));
      }
    }
  }
};

// At most `left` steps of a warp's chain, over kBoxes boxes: long_box(i) and short_box(i).
template <int kShortTiles, int kBoxes, typename LongBox, typename ShortBox>
__device__ void chain(const Lines<kShortTiles>& lines, int left, LongBox long_box,
                      ShortBox short_box, float (&c)[kShortTiles][4]) {
  constexpr int kPairs = kBoxes * 2;
  TwoSteps<kShortTiles> pairs[2];
  const auto read = [&](int i) {
    lines.read(pairs[i % 2], long_box(i / 2), short_box(i / 2), i % 2);
  };
  read(0);
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    if (i + 1 < kPairs) read(i + 1);
    const TwoSteps<kShortTiles>& pair = pairs[i % 2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      if (2 * i + j >= left) continue;
#pragma unroll
      for (int t = 0; t < kShortTiles; ++t) {
        step(c[t], pair.few[j][t], pair.many[2 * j], pair.many[2 * j + 1]);
      }
    }
  }
}

// f(row of the short side, row of eight, value)
template <int kShortTiles, typename F>
__device__ void for_each_result(const float (&c)[kShortTiles][4], int lane, F f) {
#pragma unroll
  for (int t = 0; t < kShortTiles; ++t) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      f(t * 16 + lane / 4 + e / 2 * 8, lane % 4 * 2 + e % 2, c[t][e]);
    }
  }
}

}  // namespace samebits::cuda
