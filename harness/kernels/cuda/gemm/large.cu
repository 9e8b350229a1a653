// linear.h where both sides have many rows. A block stays on its processor and takes one tile of
// the result after the other. One warpgroup asks for boxes of k, which lie in a ring in shared
// memory; one or two others, with 64 rows of the tile each, run the chains. Slices are joined by
// the tree while the chains run: what waits for its neighbour stays in registers and, of the last
// level, in shared memory.
//
// A weight's gradient, the one product of which rows of both operands lie together, has no slices
// but groups of sequences. Each sequence begins with a new box; what the steps of its last one take
// past its end is cleared where it lies.

#include <algorithm>

#include "harness/kernels/cuda/gemm/gemm.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"
#include "harness/kernels/cuda/runtime/tma.cuh"
#include "harness/kernels/cuda/runtime/wgmma.cuh"

namespace samebits::cuda {
namespace {

constexpr int kSquareBytes = kBoxDepth * kBoxLine;  // of a box of 64 by 64
constexpr int kProcessors = 132;
constexpr int kMaxSlices = 8;
constexpr int kMostBoxes = 1792;  // of a weight's gradient, whose list lies in shared memory

// A kernel: its tile, and how the operands lie. In shared memory are the ring, then the sums of
// four slices that wait for the next four, then the list of boxes of a gradient.
template <int kWarpgroups, int kColumns, bool kSliced_, bool kAByRows_, bool kBByRows_>
struct Plan {
  static constexpr bool kSliced = kSliced_;
  static constexpr bool kAByRows = kAByRows_;
  static constexpr bool kBByRows = kBByRows_;
  static constexpr bool kIsGradient = !kAByRows;  // of a weight; its groups are the slices
  // Known when it is compiled: steps do not overlap where a branch decides what c begins as.
  static constexpr bool kGoesOn = kIsGradient && !kSliced;
  static constexpr int kComputing = kWarpgroups * kWarpgroup;  // threads
  static constexpr int kThreads = kComputing + kWarpgroup;
  static constexpr int kTileM = kWarpgroups * kRowsOfWarpgroup;
  static constexpr int kTileN = kColumns;
  static constexpr int kOwn = kTileN / 2;  // results of a thread
  static constexpr int kABytes = kTileM * kBoxLine;
  static constexpr int kStageBytes = kABytes + kTileN * kBoxLine;
  static constexpr int kWaitingBytes = kSliced ? kTileM * kTileN * 4 : 0;
  static constexpr int kListBytes = kIsGradient ? kMostBoxes * 4 : 0;
  static constexpr int kMostBytes = 224 << 10;
  static constexpr int kFit = (kMostBytes - kWaitingBytes - kListBytes) / kStageBytes;
  static constexpr int kStages = kFit < 8 ? kFit : 8;
  static constexpr int kBytes = kStages * kStageBytes + kWaitingBytes + kListBytes;
};

// How blocks go through the result: along m, or along n where a gradient has more tiles along m.
// What a head's has there, its logits' gradients, no cache holds, and those that run at once share
// it.
struct Tiles {
  int64_t along_m, along_n;
  int boxes;  // along k, of a slice

  __device__ int64_t count() const { return along_m * along_n; }
  template <typename P>
  __device__ bool is_m_first() const {
    return !P::kIsGradient || along_m <= along_n;
  }
  template <typename P>
  __device__ int first_m(int64_t tile) const {
    return static_cast<int>(is_m_first<P>() ? tile % along_m : tile / along_n) * P::kTileM;
  }
  template <typename P>
  __device__ int first_n(int64_t tile) const {
    return static_cast<int>(is_m_first<P>() ? tile / along_m : tile % along_n) * P::kTileN;
  }
};

// Where the rows of one side of a tile lie in a stage.
template <bool kByRows>
struct Side {
  template <int kRows>
  __device__ static void load(char* to, const CUtensorMap& map, int row, int k, int slice,
                              uint64_t* barrier) {
    if constexpr (kByRows) {
      load_box(to, map, k, row, slice, barrier);
    } else {
      for (int i = 0; i < kRows / 64; ++i) {
        load_box(to + i * kSquareBytes, map, row + i * 64, k, slice, barrier);
      }
    }
  }

  // Of 16 k from `k` on, of the rows from `row` on, a multiple of 64.
  __device__ static uint64_t descriptor(const char* side, int row, int k) {
    return box_descriptor(side + row * kBoxLine + (kByRows ? k * 2 : k * kBoxLine), kSquareBytes);
  }
};

struct Ring {
  char* stages;
  uint64_t* full;
  uint64_t* empty;
  uint64_t* cleared;  // of a gradient
};

// The boxes of k of a weight's gradient, in the block's shared memory.
struct Boxes {
  uint32_t* list;  // [kMostBoxes]: the first line, and how many of the box are the sequence's
  int* ends;       // [kMaxSlices]: of the groups

  __device__ int line(int box) const { return static_cast<int>(list[box] >> 8); }
  __device__ int lines(int box) const { return static_cast<int>(list[box] & 0xff); }
  __device__ int first(int64_t group) const { return group == 0 ? 0 : ends[group - 1]; }
};

// Boxes of a sequence.
__device__ int boxes_of(const TokenRange& tokens) {
  return static_cast<int>((tokens.end - tokens.first + kBoxDepth - 1) / kBoxDepth);
}

// By one warp, a lane a sequence. A group without tokens has one box, of no lines; so have all of
// them where sequences have more tokens together than there are.
__device__ void list_boxes(const Problem& p, const Boxes& boxes) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t sequences = p.sequences.groups * p.sequences.count;
  int own_all = 0;
  for (int64_t s = lane; s < sequences && own_all < kMostBoxes; s += 32) {
    own_all += boxes_of(tokens_of(p.sequences, s, p.fault));
  }
  const int64_t all = __reduce_add_sync(0xffffffffu, min(own_all, kMostBoxes));
  const bool is_whole = all + p.sequences.groups <= kMostBoxes;
  int listed = 0;
  for (int64_t group = 0; group < p.sequences.groups; ++group) {
    const int first = listed;
    for (int64_t s = lane; s - lane < p.sequences.count; s += 32) {
      TokenRange tokens{};
      if (s < p.sequences.count && is_whole) {
        tokens = tokens_of(p.sequences, group * p.sequences.count + s, p.fault);
      }
      const int own = boxes_of(tokens);
      int end = own;  // of those of this lane and the lanes before
      for (int width = 1; width < 32; width *= 2) {
        const int before = __shfl_up_sync(0xffffffffu, end, width);
        if (lane >= width) end += before;
      }
      uint32_t* to = boxes.list + listed + end - own;
      for (int64_t line = tokens.first; line < tokens.end; line += kBoxDepth) {
        const int64_t lines = min(tokens.end - line, static_cast<int64_t>(kBoxDepth));
        *to++ = static_cast<uint32_t>(line << 8 | lines);
      }
      listed += __shfl_sync(0xffffffffu, end, 31);
    }
    if (listed == first) {
      if (lane == 0) boxes.list[listed] = 0;
      ++listed;
    }
    if (lane == 0) boxes.ends[group] = listed;
  }
}

template <typename P>
__device__ void fill_ring(const Problem& p, const Tiles& tiles, const Ring& ring,
                          const Boxes& boxes, const CUtensorMap& a, const CUtensorMap& b) {
  int filled = 0;
  const auto fill = [&](int m, int n, int k, int slice) {
    const int slot = filled % P::kStages;
    uint64_t* full = &ring.full[slot];
    if (filled >= P::kStages) wait_phase(&ring.empty[slot], filled / P::kStages - 1);
    arrive_expecting(full, P::kStageBytes);
    char* stage = ring.stages + slot * P::kStageBytes;
    Side<P::kAByRows>::template load<P::kTileM>(stage, a, m, k, slice, full);
    Side<P::kBByRows>::template load<P::kTileN>(stage + P::kABytes, b, n, k, slice, full);
    ++filled;
  };
  for (int64_t tile = blockIdx.x; tile < tiles.count(); tile += gridDim.x) {
    const int m = tiles.template first_m<P>(tile);
    const int n = tiles.template first_n<P>(tile);
    if constexpr (P::kIsGradient) {
      const int count = boxes.ends[p.sequences.groups - 1];
      for (int box = 0; box < count; ++box) fill(m, n, boxes.line(box), 0);
    } else {
      for (int slice = 0; slice < p.slices; ++slice) {
        for (int box = 0; box < tiles.boxes; ++box) fill(m, n, box * kBoxDepth, slice);
      }
    }
  }
}

// The steps of a box's first kLines lines of k, under way.
template <typename P, int kLines>
__device__ void run_steps(float (&c)[P::kOwn], const char* stage, int row) {
  begin_steps();
#pragma unroll
  for (int k = 0; k < kLines; k += 16) {
    WarpgroupStep<P::kTileN>::template run<!P::kAByRows, !P::kBByRows>(
        c, Side<P::kAByRows>::descriptor(stage, row, k),
        Side<P::kBByRows>::descriptor(stage + P::kABytes, 0, k), /*from_zero=*/false);
  }
  commit_steps();
}

// Of a box with so few lines, half of the steps will do.
constexpr int kHalfBox = kBoxDepth / 2;

// The chain of `count` boxes, on from c. lines(box): how many of a box's are to be multiplied.
template <typename P, typename Lines>
__device__ void chain(float (&c)[P::kOwn], const Ring& ring, int count, int row, int& used,
                      Lines lines) {
  const bool releases = threadIdx.x % 32 == 0;
  for (int box = 0; box < count; ++box, ++used) {
    const int slot = used % P::kStages;
    const char* stage = ring.stages + slot * P::kStageBytes;
    wait_phase(&ring.full[slot], used / P::kStages);
    if constexpr (P::kIsGradient) wait_phase(&ring.cleared[slot], used / P::kStages);
    if (lines(box) > kHalfBox) {
      run_steps<P, kBoxDepth>(c, stage, row);
    } else {
      run_steps<P, kHalfBox>(c, stage, row);
    }
    if (box == 0) continue;
    wait_steps<1>();  // for the box before
    if (releases) arrive(&ring.empty[(used - 1) % P::kStages]);
  }
  wait_steps<0>();
  settle(c);
  if (releases) arrive(&ring.empty[(used - 1) % P::kStages]);
}

// By the warps beside the one that fills the ring: of both operands, what the steps take past a
// box's sequence, and may be another's. A slot of the ring is one warp's. Were boxes taken in turn,
// a warp could come to a slot before its use of before is there, which comes later than boxes behind
// it now and then: the barrier then has the parity that the warp waits for.
constexpr int kClearingWarps = kWarpgroup / 32 - 1;

template <typename P>
__device__ void clear_ring(const Tiles& tiles, const Ring& ring, const Boxes& boxes, int count) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32) - 1;
  int cleared = 0;
  for (int64_t tile = blockIdx.x; tile < tiles.count(); tile += gridDim.x) {
    for (int box = 0; box < count; ++box, ++cleared) {
      const int slot = cleared % P::kStages;
      if (slot % kClearingWarps != warp) continue;
      const int lines = boxes.lines(box);
      wait_phase(&ring.full[slot], cleared / P::kStages);
      if (lines < kBoxDepth) {
        constexpr int kChunk = 16;
        const int end = (lines > kHalfBox ? kBoxDepth : kHalfBox) * kBoxLine;
        char* square = ring.stages + slot * P::kStageBytes;  // of 64 by 64
        for (int i = 0; i < P::kStageBytes / kSquareBytes; ++i, square += kSquareBytes) {
          for (int at = lines * kBoxLine + lane * kChunk; at < end; at += 32 * kChunk) {
            *reinterpret_cast<uint4*>(square + at) = uint4{};
          }
        }
        show_steps();
      }
      __syncwarp();  // a lane that still waits must not fall a round behind, either
      if (lane == 0) arrive(&ring.cleared[slot]);
    }
  }
}

template <int kCount>
__device__ void add(float (&c)[kCount], const float (&other)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) c[i] = other[i] + c[i];
}
template <int kCount>
__device__ void keep(const float (&c)[kCount], float (&to)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) to[i] = c[i];
}

// The tree of linear.h over two, four or eight slices, whose chains `next` runs one after the
// other. `waiting`: in shared memory, this thread's part of [kOwn][threads].
template <typename P, typename Next>
__device__ void join(int64_t slices, float (&c)[P::kOwn], float* waiting, Next next) {
  const auto two = [&] {
    float first[P::kOwn];
    next(c);
    keep(c, first);
    next(c);
    add(c, first);
  };
  const auto four = [&] {
    float first[P::kOwn];
    two();
    keep(c, first);
    two();
    add(c, first);
  };
  if (slices == 2) return two();
  four();
  if (slices == 4) return;
#pragma unroll
  for (int i = 0; i < P::kOwn; ++i) waiting[i * P::kComputing] = c[i];
  four();
#pragma unroll
  for (int i = 0; i < P::kOwn; ++i) c[i] = waiting[i * P::kComputing] + c[i];
}

// Word i of four, i known at run time, without memory.
__device__ uint32_t pick(const uint32_t (&words)[4], int i) {
  const uint32_t low = i & 1 ? words[1] : words[0];
  const uint32_t high = i & 1 ? words[3] : words[2];
  return i & 2 ? high : low;
}

// Four neighbours have two columns each of four groups of eight; they trade, so that each has one
// group and writes 16 bytes.
__device__ void write_groups(const Problem& p, int64_t row, int64_t first_column, int lane,
                             const uint32_t (&words)[4]) {
  const int own = lane % 4;
  uint32_t received[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    received[i] = __shfl_xor_sync(0xffffffffu, pick(words, own ^ i), i);
  }
  const int64_t column = first_column + own * 8;
  if (row >= p.m || column >= p.n) return;
  const uint4 group{pick(received, own), pick(received, own ^ 1), pick(received, own ^ 2),
                    pick(received, own ^ 3)};
  *reinterpret_cast<uint4*>(static_cast<Bf16*>(p.out) + row * p.out_row + column) = group;
}

// How results are written.
enum class Writes { kGroups, kPairs, kSingly };

__device__ void write_pair(const Problem& p, int64_t row, int64_t column, float first,
                           float second) {
  if (row >= p.m || column >= p.n) return;
  const float2 pair{canonical_nan_f32(first), canonical_nan_f32(second)};
  *reinterpret_cast<float2*>(static_cast<float*>(p.out) + row * p.out_row + column) = pair;
}

template <typename P>
__device__ void write_tile(const Problem& p, Writes writes, int64_t first_row, int64_t first_column,
                           int lane, const float (&c)[P::kOwn]) {
#pragma unroll
  for (int i = 0; i < P::kOwn; i += 16) {  // 32 columns
#pragma unroll
    for (int half = 0; half < 4; half += 2) {
      const int64_t row = first_row + lane / 4 + half * 4;
      uint32_t words[4];
#pragma unroll
      for (int t = 0; t < 4; ++t) {
        const float first = c[i + t * 4 + half];
        const float second = c[i + t * 4 + half + 1];
        const int64_t column = first_column + i * 2 + t * 8 + lane % 4 * 2;
        if (writes == Writes::kGroups) {
          words[t] = pack_bf16(first, second);
        } else if (writes == Writes::kPairs) {
          write_pair(p, row, column, first, second);
        } else {
          write(p, 0, row, column, first);
          write(p, 0, row, column + 1, second);
        }
      }
      if (writes == Writes::kGroups) write_groups(p, row, first_column + i * 2, lane, words);
    }
  }
}

// The rows that a group's sum is added to.
template <typename P>
__device__ void add_rows(const Problem& p, const int32_t (&slots)[2], int64_t first_column,
                         int lane, float (&c)[P::kOwn]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int32_t slot = slots[half];
#pragma unroll
    for (int i = 0; i < P::kOwn; i += 4) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int64_t column = first_column + i * 2 + lane % 4 * 2 + e;
        const float other = slot >= 0 && column < p.n ? p.added.rows[slot * p.n + column] : 0.0f;
        c[i + half * 2 + e] = other + c[i + half * 2 + e];
      }
    }
  }
}

// What the result holds before, without a branch (see Plan).
template <typename P>
__device__ void read_starts(const Problem& p, int64_t first_row, int64_t first_column, int lane,
                            float (&c)[P::kOwn]) {
  const auto* out = static_cast<const float*>(p.out);
#pragma unroll
  for (int i = 0; i < P::kOwn; ++i) {
    const int64_t row = first_row + lane / 4 + i / 2 % 2 * 8;
    const int64_t column = first_column + i / 4 * 8 + lane % 4 * 2 + i % 2;
    const float held = out[min(row, p.m - 1) * p.out_row + min(column, p.n - 1) * p.out_column];
    c[i] = row < p.m && column < p.n ? held : 0.0f;
  }
}

template <typename P>
__global__ void __launch_bounds__(P::kThreads, 1)
    large_kernel(Problem p, Tiles tiles, Writes writes, const __grid_constant__ CUtensorMap a,
                 const __grid_constant__ CUtensorMap b) {
  extern __shared__ __align__(1024) char memory[];
  __shared__ uint64_t full[P::kStages];
  __shared__ uint64_t empty[P::kStages];
  __shared__ uint64_t cleared[P::kStages];
  __shared__ int ends[kMaxSlices];
  const Ring ring{memory, full, empty, cleared};
  const Boxes boxes{reinterpret_cast<uint32_t*>(memory + P::kBytes - P::kListBytes), ends};
  const int thread = static_cast<int>(threadIdx.x) - kWarpgroup;  // of those that compute
  if (threadIdx.x == 0) {
    for (int i = 0; i < P::kStages; ++i) {
      init_barrier(&full[i], 1);
      init_barrier(&empty[i], P::kComputing / 32);
      init_barrier(&cleared[i], 1);
    }
    publish_barriers();
  }
  if (P::kIsGradient && threadIdx.x < 32) {
    wait_for_earlier_kernels();  // for starts
    __syncwarp();
    list_boxes(p, boxes);
  }
  __syncthreads();
  constexpr bool kSharesRegisters = P::kThreads > 256;  // too many for 255 each
  if (thread < 0) {
    if constexpr (kSharesRegisters) give_registers<24>();
    if (threadIdx.x == 0) {
      wait_for_earlier_kernels();
      fill_ring<P>(p, tiles, ring, boxes, a, b);
    } else if (P::kIsGradient && threadIdx.x >= 32) {
      clear_ring<P>(tiles, ring, boxes, ends[p.sequences.groups - 1]);
    }
    return;
  }
  if constexpr (kSharesRegisters) take_registers<240>();
  const int row_of_warpgroup = warpgroup_of(thread) * kRowsOfWarpgroup;
  const int row_of_warp = thread / 32 * 16;
  int used = 0;
  if constexpr (P::kGoesOn) wait_for_earlier_kernels();
  for (int64_t tile = blockIdx.x; tile < tiles.count(); tile += gridDim.x) {
    const int64_t first_row = tiles.first_m<P>(tile) + row_of_warp;
    const int64_t first_column = tiles.first_n<P>(tile);
    int64_t group = 0;
    const auto next = [&](float(&sum)[P::kOwn]) {
      if constexpr (P::kGoesOn) {
        read_starts<P>(p, first_row, first_column, thread % 32, sum);
      } else {
#pragma unroll
        for (int i = 0; i < P::kOwn; ++i) sum[i] = 0.0f;
      }
      if constexpr (P::kIsGradient) {
        int32_t slots[2] = {-1, -1};  // asked for before the chain
        if (p.added.slots != nullptr) {
          for (int half = 0; half < 2; ++half) {
            const int64_t row = first_row + thread % 32 / 4 + half * 8;
            if (row < p.m) slots[half] = p.added.slots[group * p.m + row];
          }
        }
        const int first = boxes.first(group);
        chain<P>(sum, ring, boxes.ends[group] - first, row_of_warpgroup, used,
                 [&](int box) { return boxes.lines(first + box); });
        if (p.added.slots != nullptr) {
          add_rows<P>(p, slots, first_column, thread % 32, sum);
        }
        ++group;
      } else {
        chain<P>(sum, ring, tiles.boxes, row_of_warpgroup, used, [](int) { return kBoxDepth; });
      }
    };
    float c[P::kOwn];
    if constexpr (P::kSliced) {
      char* waiting = memory + P::kStages * P::kStageBytes;
      join<P>(p.slices, c, reinterpret_cast<float*>(waiting) + thread, next);
    } else {
      next(c);
    }
    write_tile<P>(p, writes, first_row, first_column, thread % 32, c);
  }
}

BoxedMatrix boxed(const Operand& x, int64_t rows, const Problem& p) {
  if (p.sequences.groups > 1) return {x.data, rows, p.k, 1, x.k_stride, 0};
  if (x.k_stride == 1) return {x.data, p.width, rows, p.slices, x.row_stride, p.width};
  return {x.data, rows, p.width, p.slices, x.k_stride, p.width * x.k_stride};
}

Writes writes_of(const Problem& p) {
  const auto at = reinterpret_cast<uintptr_t>(p.out);
  if (p.out_column != 1) return Writes::kSingly;
  if (p.bf16_out) return p.out_row % 8 == 0 && at % 16 == 0 ? Writes::kGroups : Writes::kSingly;
  return p.out_row % 2 == 0 && at % 8 == 0 ? Writes::kPairs : Writes::kSingly;
}

template <typename P>
void launch_large(const Problem& p, cudaStream_t stream) {
  Tiles tiles{};
  tiles.along_m = (p.m + P::kTileM - 1) / P::kTileM;
  tiles.along_n = (p.n + P::kTileN - 1) / P::kTileN;
  tiles.boxes = static_cast<int>((p.width + kBoxDepth - 1) / kBoxDepth);
  allow_shared_memory(large_kernel<P>, P::kBytes);
  const auto blocks =
      static_cast<unsigned>(std::min<int64_t>(tiles.along_m * tiles.along_n, kProcessors));
  launch(large_kernel<P>, dim3(blocks), P::kThreads, P::kBytes, stream, p, tiles, writes_of(p),
         map_boxes(boxed(p.a, p.m, p), P::kAByRows ? P::kTileM : kBoxDepth, /*box_slices=*/1),
         map_boxes(boxed(p.b, p.n, p), P::kBByRows ? P::kTileN : kBoxDepth, /*box_slices=*/1));
}

// Cycles, about, until the processor with most tiles is done. `of_box`: of one box of k of a tile;
// shared memory sets it, to which every byte of both sides comes once and from which each warpgroup
// reads its own 64 rows and all columns.
int64_t cycles(const Problem& p, int64_t rows, int64_t columns, int64_t of_box) {
  constexpr int64_t kEnds = 3000;  // until the first box is there, and to write
  const int64_t tiles = (p.m + rows - 1) / rows * ((p.n + columns - 1) / columns);
  const int64_t boxes = p.sequences.groups > 1 ? (p.k + kBoxDepth - 1) / kBoxDepth + p.slices
                                               : (p.width + kBoxDepth - 1) / kBoxDepth * p.slices;
  return (tiles + kProcessors - 1) / kProcessors * (boxes * of_box + kEnds);
}

template <bool kSliced, bool kAByRows, bool kBByRows>
void choose_tile(const Problem& p, cudaStream_t stream) {
  const int64_t smallest = cycles(p, 64, 64, 256);
  const int64_t narrow = cycles(p, 128, 64, 448);
  const int64_t square = cycles(p, 128, 128, 640);
  if constexpr (!kSliced) {  // the sums that wait would not fit
    if (cycles(p, 128, 256, 1024) <= std::min({smallest, narrow, square})) {
      return launch_large<Plan<2, 256, false, kAByRows, kBByRows>>(p, stream);
    }
  }
  if (square <= std::min(smallest, narrow)) {
    return launch_large<Plan<2, 128, kSliced, kAByRows, kBByRows>>(p, stream);
  }
  narrow <= smallest ? launch_large<Plan<2, 64, kSliced, kAByRows, kBByRows>>(p, stream)
                     : launch_large<Plan<1, 64, kSliced, kAByRows, kBByRows>>(p, stream);
}

template <bool kAByRows, bool kBByRows>
void choose_tile(const Problem& p, cudaStream_t stream) {
  p.slices > 1 ? choose_tile<true, kAByRows, kBByRows>(p, stream)
               : choose_tile<false, kAByRows, kBByRows>(p, stream);
}

}  // namespace

bool is_large(const Problem& p) {
  const auto can_be_boxed = [](const Operand& x) {
    return x.row_stride * x.k_stride % 8 == 0 && reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
  };
  const bool is_whole_tree =
      p.slices == 1 ||
      (p.slices <= kMaxSlices && (p.slices & (p.slices - 1)) == 0 &&
       (p.sequences.groups > 1 || (p.k == p.slices * p.width && p.width % 8 == 0)));
  const bool is_listed =
      p.a.k_stride == 1 ||
      (p.k < 1 << 24 &&
       p.k / kBoxDepth + (p.sequences.count + 1) * p.sequences.groups <= kMostBoxes);
  const bool is_laid_out = p.a.k_stride == 1 || p.b.k_stride != 1;  // as choose_tile knows
  // A head's weights are so many that reading them is what takes time, whatever a tile's columns.
  constexpr int64_t kRowsOfHead = 32768;
  const bool fills_tiles = p.m >= 64 && p.n >= (p.m < kRowsOfHead ? 64 : 33);
  return fills_tiles && p.k > 0 && is_whole_tree && is_laid_out && is_listed && can_be_boxed(p.a) &&
         can_be_boxed(p.b);
}

void gemm_large(const Problem& p, cudaStream_t stream) {
  if (p.a.k_stride != 1) return choose_tile<false, false>(p, stream);  // linear_wgrad
  if (p.b.k_stride != 1) return choose_tile<true, false>(p, stream);   // linear_dgrad
  choose_tile<true, true>(p, stream);
}

}  // namespace samebits::cuda
