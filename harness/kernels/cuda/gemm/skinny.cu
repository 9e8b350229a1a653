// linear.h where one side has few rows, as in decode: the time is that of reading the other side
// once, and of the longest chain. A block has a slab, some rows of the long side over all of k. It
// asks for the slab's beginning before the kernels ahead of it have ended, where they do not write
// it, so that memory is never idle between two products; where they do not write the short side
// either, it runs beside them (launch.cuh).
//
// Stages of k lie in a ring in shared memory, filled by a warp of its own. Each other warp has
// eight rows of the long side, the n8 of the step, all of the short one, its m16, and one slice of
// k.

#include <algorithm>

#include "harness/kernels/cuda/gemm/skinny.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kMaxSlices = 8;

// What the boxes of a stage hold: a slab's rows, then the short side's, of each slice.
struct Layout {
  int long_rows;
  int short_rows;
  int slices;
  int boxes;   // along k, of a stage
  int stages;  // of the ring

  // Each box begins at a multiple of 1024 bytes, which long ones are as long as.
  __host__ __device__ int long_bytes() const { return long_rows * slices * kBoxLine; }
  __host__ __device__ int short_bytes() const {
    return (short_rows * slices * kBoxLine + 1023) / 1024 * 1024;
  }
  __host__ __device__ int stage_bytes() const { return boxes * (long_bytes() + short_bytes()); }
  // That arrive.
  __device__ uint32_t expected() const {
    return static_cast<uint32_t>(boxes * (long_rows + short_rows) * slices * kBoxLine);
  }
  __device__ char* long_box(char* stage, int box) const { return stage + box * long_bytes(); }
  __device__ char* short_box(char* stage, int box) const {
    return stage + boxes * long_bytes() + box * short_bytes();
  }
};

// See launch.cuh.
__device__ bool is_early(const Problem& p) { return p.a_is_settled && p.b_is_settled; }

__device__ Bf16 residual_at(const Problem& p, int64_t row, int64_t column) {
  return load_past_cache(p.residual + row * p.out_row + column * p.out_column);
}
__device__ void add_residual(const Problem& p, int64_t row, int64_t column, float value,
                             const Bf16& residual) {
  store(load(residual) + round_to_bf16(value), p.sum[row * p.out_row + column * p.out_column]);
}

struct Ring {
  char* stages;
  uint64_t* full;
  uint64_t* empty;
};

// By one thread: fills the ring, and again what has been used.
__device__ void fill_ring(const Problem& p, const Layout& layout, const Ring& ring,
                          const CUtensorMap& long_side, const CUtensorMap& short_side,
                          int first_row, int stages) {
  const auto load = [&](int stage, const CUtensorMap& map, bool is_long) {
    char* slot = ring.stages + stage % layout.stages * layout.stage_bytes();
    for (int box = 0; box < layout.boxes; ++box) {
      load_box(is_long ? layout.long_box(slot, box) : layout.short_box(slot, box), map,
               (stage * layout.boxes + box) * kBoxDepth, is_long ? first_row : 0, /*slice=*/0,
               &ring.full[stage % layout.stages]);
    }
  };
  prefetch_map(short_side);
  if (is_early(p)) let_next_kernel_begin();
  if (!p.a_is_settled) wait_for_earlier_kernels();
  const int first = min(stages, layout.stages);
  for (int stage = 0; stage < first; ++stage) {
    arrive_expecting(&ring.full[stage], layout.expected());
    load(stage, long_side, true);
  }
  if (p.a_is_settled && !p.b_is_settled) wait_for_earlier_kernels();
  for (int stage = 0; stage < first; ++stage) load(stage, short_side, false);
  for (int stage = first; stage < stages; ++stage) {
    const int slot = stage % layout.stages;
    wait_phase(&ring.empty[slot], stage / layout.stages - 1);
    arrive_expecting(&ring.full[slot], layout.expected());
    load(stage, long_side, true);
    load(stage, short_side, false);
  }
}

template <int kShortTiles, int kBoxes>
__global__ void __launch_bounds__(kSkinnyWarps * 32)
    skinny_kernel(Problem p, Layout layout, const __grid_constant__ CUtensorMap long_side,
                  const __grid_constant__ CUtensorMap short_side) {
  extern __shared__ __align__(1024) char memory[];
  __shared__ uint64_t full[kSkinnyStages];
  __shared__ uint64_t empty[kSkinnyStages];
  const Ring ring{memory, full, empty};
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int warps = static_cast<int>(blockDim.x / 32) - 1;  // that compute
  const auto first_row = static_cast<int>(blockIdx.x) * layout.long_rows;
  constexpr int kDepth = kBoxes * kBoxDepth;  // of a stage, in each slice
  const auto stages = static_cast<int>((p.width + kDepth - 1) / kDepth);
  if (threadIdx.x == 0) {
    for (int i = 0; i < layout.stages; ++i) {
      init_barrier(&full[i], 1);
      init_barrier(&empty[i], warps);
    }
    publish_barriers();
  }
  __syncthreads();
  if (warp == warps) {
    if (lane == 0) {
      fill_ring(p, layout, ring, long_side, short_side, first_row, stages);
    }
    return;
  }

  const int slice = warp % layout.slices;
  const int tile = warp / layout.slices;
  const Lines<kShortTiles> lines(layout.long_rows, layout.short_rows, tile, slice, lane);
  float c[kShortTiles][4] = {};
  constexpr int kAhead = 2;
  Bf16 read_ahead[kAhead]{};  // the residual of this thread's first results
  if (p.sum != nullptr) {
    wait_before_writing();  // the kernel before may have written it
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int own =
          min(static_cast<int>(threadIdx.x) + i * warps * 32, layout.short_rows * kSkinnyTile - 1);
      read_ahead[i] = residual_at(p, min(first_row + own % kSkinnyTile, static_cast<int>(p.m) - 1),
                                  own / kSkinnyTile);
    }
  }
  for (int stage = 0; stage < stages; ++stage) {
    const int slot = stage % layout.stages;
    wait_phase(&full[slot], stage / layout.stages);
    char* const boxes = memory + slot * layout.stage_bytes();
    chain<kShortTiles, kBoxes>(
        lines, static_cast<int>(p.width / 16) - stage * (kDepth / 16),
        [&](int box) { return layout.long_box(boxes, box); },
        [&](int box) { return layout.short_box(boxes, box); }, c);
    if (lane == 0) arrive(&empty[slot]);
  }
  if (is_early(p)) wait_before_writing();
  if (p.slices > 1) {
    constexpr int kResults = 16 * kShortTiles * kSkinnyTile;
    __shared__ float parts[kMaxSlices * kResults];  // [slice][row of the short side][row of eight]
    for_each_result<kShortTiles>(c, lane, [&](int few, int many, float value) {
      parts[slice * kResults + few * kSkinnyTile + many] = value;
    });
    sync_named(1, warps * 32);  // of those that compute
    int own = 0;
    for (int i = static_cast<int>(threadIdx.x); i < layout.short_rows * kSkinnyTile;
         i += warps * 32) {
      const float sum = join_slices(p.slices, [&](int64_t s) { return parts[s * kResults + i]; });
      const int64_t row = first_row + i % kSkinnyTile;
      write(p, 0, row, i / kSkinnyTile, sum);
      if (p.sum == nullptr || row >= p.m) continue;
      add_residual(p, row, i / kSkinnyTile, sum,
                   own == 0   ? read_ahead[0]
                   : own == 1 ? read_ahead[1]
                              : residual_at(p, row, i / kSkinnyTile));
      ++own;
    }
  } else {
    for_each_result<kShortTiles>(c, lane, [&](int few, int many, float value) {
      const int64_t row = first_row + tile * kSkinnyTile + many;
      write(p, 0, row, few, value);
      if (p.sum == nullptr || row >= p.m || few >= p.n) return;
      add_residual(p, row, few, value, residual_at(p, row, few));
    });
  }
}

// `stages`: of the ring, or fewer where they do not fit.
template <int kShortTiles, int kBoxes>
void launch_skinny(const Problem& p, int tiles, int stages, cudaStream_t stream) {
  const auto slices = static_cast<int>(p.slices);
  Layout layout{tiles * kSkinnyTile, static_cast<int>(p.n), slices, kBoxes, stages};
  const auto needed = static_cast<int>((p.width + kBoxes * kBoxDepth - 1) / (kBoxes * kBoxDepth));
  layout.stages = std::min({stages, needed, kSkinnyBytes / layout.stage_bytes()});
  const auto bytes = static_cast<size_t>(layout.stages * layout.stage_bytes());
  const auto map = [&](const Operand& x, int64_t rows, int box_rows) {
    return map_boxes({x.data, p.width, rows, p.slices, x.row_stride, p.width}, box_rows, p.slices);
  };
  allow_shared_memory(skinny_kernel<kShortTiles, kBoxes>, bytes);
  const int64_t blocks = (p.m + layout.long_rows - 1) / layout.long_rows;
  launch(skinny_kernel<kShortTiles, kBoxes>, dim3(static_cast<unsigned>(blocks)),
         (tiles * slices + 1) * 32, bytes, stream, p, layout, map(p.a, p.m, layout.long_rows),
         map(p.b, p.n, layout.short_rows));
}

// Blocks for every processor of the card, and no more rows in each than that takes; where there are
// many rows, two blocks or more on each, so that one computes while another waits.
template <int kShortTiles>
void launch_for(const Problem& p, cudaStream_t stream) {
  constexpr int64_t kProcessors = 132;
  constexpr int64_t kFew = 4;
  if (p.slices > 1) return launch_skinny<kShortTiles, 1>(p, 1, kSkinnyStages, stream);
  const int64_t tiles = (p.m + kSkinnyTile * kProcessors - 1) / (kSkinnyTile * kProcessors);
  if (tiles <= kFew) {
    return launch_skinny<kShortTiles, 4>(p, static_cast<int>(tiles), kSkinnyStages, stream);
  }
  kShortTiles == 1 ? launch_skinny<kShortTiles, 4>(p, 4, 3, stream)
                   : launch_skinny<kShortTiles, 4>(p, 8, 2, stream);
}

}  // namespace

bool is_skinny(const Problem& p) {
  const auto is_in_eights = [](const Operand& x) {
    return x.k_stride == 1 && x.row_stride % 8 == 0 &&
           reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
  };
  return is_in_eights(p.a) && is_in_eights(p.b) && p.n <= 48 && p.slices <= kMaxSlices && p.k > 0 &&
         p.width % 16 == 0 && p.k == p.slices * p.width;
}

void gemm_skinny(const Problem& p, cudaStream_t stream) {
  if (p.n <= 16) return launch_for<1>(p, stream);
  if (p.n <= 32) return launch_for<2>(p, stream);
  launch_for<3>(p, stream);
}

}  // namespace samebits::cuda
