// A norm and the products that read it (rms_norm_linear_qkv.h, rms_norm_linear_silu_mul.h), where
// there are few rows. A block has a slab: some rows of one matrix, or the same rows of two, over
// all of k. It asks for the slab before the kernels ahead of it have ended; then, where there are
// very few rows, it norms all of them by itself while the slab is on its way, which takes less time
// than another kernel would. Where there are more than a step of mma.cuh holds, a warpgroup's step
// takes the slab: warps of eight rows each would read x from shared memory once each.

#include <algorithm>

#include "harness/kernels/cuda/gemm/skinny.cuh"
#include "harness/kernels/cuda/rows/rms_norm.cuh"
#include "harness/kernels/cuda/rows/silu_mul.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"
#include "harness/kernels/cuda/runtime/wgmma.cuh"

namespace samebits::cuda {
namespace {

constexpr int kBoxes = 4;  // along k, of a stage
constexpr int kStageDepth = kBoxes * kBoxDepth;
constexpr int kMostNormed = 4;  // rows that every block norms: with eight a kernel for it is faster
constexpr int kNarrowRows = 16;  // with more, a warpgroup's step takes the slab
constexpr int kMostRows = 48;

struct Maps {
  CUtensorMap of[kMostMatrices];
};

// What the kernel knows beside the maps.
struct Slabs {
  int rows;    // of x
  int depth;   // k
  int stages;  // of the ring
  int parts;   // matrices of a block: one, or two
  int part_rows;
  int matrices;
  int widths[kMostMatrices];  // rows of a matrix, which are columns of its product
  int first_block[kMostMatrices];
  Bf16* outs[kMostMatrices];
  Bf16* gated;  // or null
  const Bf16* x;
  const Bf16* norm_weight;
  Bf16* normed;
  float eps;
  bool weights_are_settled;  // launch.cuh

  __host__ __device__ int slab_rows() const { return parts * part_rows; }
  __host__ __device__ int long_bytes() const { return slab_rows() * kBoxLine; }
  // Of a box of the normed rows, in each kernel's way: in the ring or beside it.
  __host__ __device__ int short_bytes() const { return (rows * kBoxLine + 1023) / 1024 * 1024; }
  __host__ __device__ int stage_bytes(bool norms) const {
    return kBoxes * (long_bytes() + (norms ? 0 : short_bytes()));
  }
  __host__ __device__ int all_stages() const { return (depth + kStageDepth - 1) / kStageDepth; }
  // Beside the ring: the normed rows' boxes and the norm's weight.
  __host__ __device__ int normed_bytes() const {
    return all_stages() * kBoxes * short_bytes() + depth * 2;
  }
  __device__ int matrix_of_block() const {
    int matrix = 0;
    for (int i = 1; parts == 1 && i < matrices; ++i) {
      if (static_cast<int>(blockIdx.x) >= first_block[i]) matrix = i;
    }
    return matrix;
  }
};

// Of the warps that compute.
__device__ void sync_computing(int threads) { sync_named(1, threads); }

// Where a block's shared memory is.
struct Memory {
  char* ring;
  char* normed;  // boxes, then the norm's weight; where the block norms
  uint64_t* full;
  uint64_t* empty;
};

// By one thread: fills the ring, and again what has been used.
template <bool kNorms>
__device__ void fill_ring(const Slabs& s, const Memory& memory, const Maps& maps,
                          const CUtensorMap& tokens, int matrix, int first_row) {
  const auto slot_of = [&](int stage) {
    return memory.ring + stage % s.stages * s.stage_bytes(kNorms);
  };
  const auto load_long = [&](int stage) {
    uint64_t* const barrier = &memory.full[stage % s.stages];
    const int rows = s.slab_rows() + (kNorms ? 0 : s.rows);
    arrive_expecting(barrier, static_cast<uint32_t>(kBoxes * rows * kBoxLine));
    for (int box = 0; box < kBoxes; ++box) {
      for (int part = 0; part < s.parts; ++part) {
        load_box(slot_of(stage) + box * s.long_bytes() + part * s.part_rows * kBoxLine,
                 maps.of[matrix + part], (stage * kBoxes + box) * kBoxDepth, first_row, 0, barrier);
      }
    }
  };
  const auto load_short = [&](int stage) {
    for (int box = 0; box < kBoxes; ++box) {
      load_box(slot_of(stage) + kBoxes * s.long_bytes() + box * s.short_bytes(), tokens,
               (stage * kBoxes + box) * kBoxDepth, 0, 0, &memory.full[stage % s.stages]);
    }
  };
  if (!s.weights_are_settled) wait_for_earlier_kernels();
  const int first = min(s.all_stages(), s.stages);
  for (int stage = 0; stage < first; ++stage) load_long(stage);
  if (!kNorms) {
    wait_for_earlier_kernels();
    for (int stage = 0; stage < first; ++stage) load_short(stage);
  }
  for (int stage = first; stage < s.all_stages(); ++stage) {
    wait_phase(&memory.empty[stage % s.stages], stage / s.stages - 1);
    load_long(stage);
    if (!kNorms) load_short(stage);
  }
}

// Eight elements of a row.
struct Eight {
  uint4 bits;

  __device__ Bf16& operator[](int i) { return reinterpret_cast<Bf16*>(&bits)[i]; }
};

// All rows of x, normed, into the boxes that the steps read; each block writes its share of them.
__device__ void norm_rows(const Slabs& s, const Memory& memory, int threads) {
  const int thread = static_cast<int>(threadIdx.x);
  const int in_row = s.depth / 8;
  const int pieces = s.rows * in_row;
  const auto place = [&](int row, int piece) {
    return reinterpret_cast<uint4*>(
        box_chunk(memory.normed + piece / 8 * s.short_bytes(), row, piece % 8));
  };
  auto* const scale = reinterpret_cast<uint4*>(memory.normed + s.normed_bytes() - s.depth * 2);
  __shared__ float roots[kMostNormed];
  if (!s.weights_are_settled) wait_for_earlier_kernels();
  for (int i = thread; i < in_row; i += threads) {
    scale[i] = __ldcg(reinterpret_cast<const uint4*>(s.norm_weight) + i);
  }
  wait_for_earlier_kernels();
  for (int i = thread; i < pieces; i += threads) {
    *place(i / in_row, i % in_row) = __ldcg(reinterpret_cast<const uint4*>(s.x) + i);
  }
  sync_computing(threads);
  const int lane = thread % 16;
  for (int first = thread / 32 * 2; first < s.rows; first += threads / 16) {
    const int row = first + thread % 32 / 16;
    const bool has_row = row < s.rows;
    const float r = inverse_rms_of(has_row ? s.depth : 0, s.depth, lane, s.eps, [&](int64_t i) {
      const auto at = static_cast<int>(i);
      return load(reinterpret_cast<const Bf16*>(place(row, at / 8))[at % 8]);
    });
    if (has_row && lane == 0) roots[row] = r;
  }
  sync_computing(threads);
  for (int i = thread; i < pieces; i += threads) {
    uint4* const own = place(i / in_row, i % in_row);
    Eight eight{*own};
    Eight weights{scale[i % in_row]};
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const float scaled = load(eight[j]) * roots[i / in_row];
      store(normed_element<Bf16>(scaled, load(weights[j])), eight[j]);
    }
    *own = eight.bits;
    if (i % static_cast<int>(gridDim.x) == static_cast<int>(blockIdx.x)) {
      reinterpret_cast<uint4*>(s.normed)[i] = eight.bits;
    }
  }
  sync_computing(threads);
}

// Eight neighbouring columns of a row of `to`, [.., width], from `first` on; those that are there.
__device__ void write_eight(Bf16* to, int64_t row, int width, int first, Eight& eight) {
  Bf16* const at = to + row * width + first;
  if (first + 8 <= width && reinterpret_cast<uintptr_t>(at) % 16 == 0) {
    *reinterpret_cast<uint4*>(at) = eight.bits;
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if (first + i < width) at[i] = eight[i];
  }
}

// f(row of the slab's part, token, row of the matrix): of eight rows each, the first.
template <typename F>
__device__ void for_each_eight(const Slabs& s, int first_row, int threads, F f) {
  int token = static_cast<int>(threadIdx.x);
  for (int row = 0; row < s.part_rows; token += threads) {
    for (; token >= s.rows && row < s.part_rows; row += 8) token -= s.rows;
    if (row < s.part_rows) f(row, token, first_row + row);
  }
}

// Products, which lie in `results` [slab row][row of x].
__device__ void write_products(const Slabs& s, const Bf16* results, int matrix, int first_row,
                               int threads) {
  for_each_eight(s, first_row, threads, [&](int row, int token, int first) {
    Eight eight{};
#pragma unroll
    for (int i = 0; i < 8; ++i) eight[i] = results[(row + i) * kMostRows + token];
    write_eight(s.outs[matrix], token, s.widths[matrix], first, eight);
  });
}

// Gate and up, likewise, and what they make.
__device__ void write_gated(const Slabs& s, const Bf16* results, int first_row, int threads) {
  for_each_eight(s, first_row, threads, [&](int row, int token, int first) {
    Eight gate{};
    Eight up{};
    Eight gated{};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      gate[i] = results[(row + i) * kMostRows + token];
      up[i] = results[(s.part_rows + row + i) * kMostRows + token];
      store(silu_mul_element<Bf16>(load(gate[i]), load(up[i])), gated[i]);
    }
    write_eight(s.outs[0], token, s.widths[0], first, gate);
    write_eight(s.outs[1], token, s.widths[0], first, up);
    write_eight(s.gated, token, s.widths[0], first, gated);
  });
}

__device__ void begin_ring(const Slabs& s, const Memory& memory, int warps) {
  if (threadIdx.x == 0) {
    for (int i = 0; i < s.stages; ++i) {
      init_barrier(&memory.full[i], 1);
      init_barrier(&memory.empty[i], warps);
    }
    publish_barriers();
  }
  __syncthreads();
}

template <bool kNorms>
__global__ void __launch_bounds__(kSkinnyWarps * 32)
    norm_linears_kernel(const __grid_constant__ Slabs s, const __grid_constant__ Maps maps,
                        const __grid_constant__ CUtensorMap tokens) {
  extern __shared__ __align__(1024) char shared[];
  __shared__ uint64_t full[kSkinnyStages];
  __shared__ uint64_t empty[kSkinnyStages];
  __shared__ Bf16 results[(kSkinnyWarps - 1) * kSkinnyTile * kMostRows];
  const Memory memory{shared, shared + s.stages * s.stage_bytes(kNorms), full, empty};
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int warps = static_cast<int>(blockDim.x / 32) - 1;  // that compute
  const int matrix = s.matrix_of_block();
  const int first_row = (static_cast<int>(blockIdx.x) - s.first_block[matrix]) * s.part_rows;
  begin_ring(s, memory, warps);
  if (warp == warps) {
    if (lane == 0) fill_ring<kNorms>(s, memory, maps, tokens, matrix, first_row);
    return;
  }
  if (kNorms) norm_rows(s, memory, warps * 32);

  const Lines<1> lines(s.slab_rows(), s.rows, warp, /*slice=*/0, lane);
  float c[1][4] = {};
  for (int stage = 0; stage < s.all_stages(); ++stage) {
    const int slot = stage % s.stages;
    wait_phase(&full[slot], stage / s.stages);
    char* const boxes = memory.ring + slot * s.stage_bytes(kNorms);
    char* const few =
        kNorms ? memory.normed + stage * kBoxes * s.short_bytes() : boxes + kBoxes * s.long_bytes();
    chain<1, kBoxes>(
        lines, s.depth / 16 - stage * (kStageDepth / 16),
        [&](int box) { return boxes + box * s.long_bytes(); },
        [&](int box) { return few + box * s.short_bytes(); }, c);
    if (lane == 0) arrive(&empty[slot]);
  }
  for_each_result<1>(c, lane, [&](int token, int many, float value) {
    if (token >= s.rows) return;
    const int row = warp * kSkinnyTile + many;
    if (s.gated != nullptr) {
      store(value, results[row * kMostRows + token]);
    } else if (first_row + row < s.widths[matrix]) {
      store(value,
            s.outs[matrix][static_cast<int64_t>(token) * s.widths[matrix] + first_row + row]);
    }
  });
  if (s.gated == nullptr) return;
  sync_computing(warps * 32);
  write_gated(s, results, first_row, warps * 32);
}

// With up to kColumns rows of x. Lines behind a slab's, and behind x's, are any: what comes of them
// is not written.
template <int kColumns>
__global__ void __launch_bounds__(kWarpgroup + 32)
    wide_linears_kernel(const __grid_constant__ Slabs s, const __grid_constant__ Maps maps,
                        const __grid_constant__ CUtensorMap tokens) {
  extern __shared__ __align__(1024) char shared[];
  __shared__ uint64_t full[kSkinnyStages];
  __shared__ uint64_t empty[kSkinnyStages];
  __shared__ Bf16 results[kRowsOfWarpgroup * kMostRows];
  constexpr int kWarps = kWarpgroup / 32;
  const Memory memory{shared, nullptr, full, empty};
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int matrix = s.matrix_of_block();
  const int first_row = (static_cast<int>(blockIdx.x) - s.first_block[matrix]) * s.part_rows;
  begin_ring(s, memory, kWarps);
  if (warp == kWarps) {
    if (lane == 0) {
      prefetch_map(tokens);
      fill_ring<false>(s, memory, maps, tokens, matrix, first_row);
    }
    return;
  }
  float c[kColumns / 2] = {};
#pragma unroll 1
  for (int stage = 0; stage < s.all_stages(); ++stage) {
    const int slot = stage % s.stages;
    wait_phase(&full[slot], stage / s.stages);
    const char* const boxes = shared + slot * s.stage_bytes(false);
    begin_steps();
#pragma unroll
    for (int box = 0; box < kBoxes; ++box) {
      const char* const many = boxes + box * s.long_bytes();
      const char* const few = boxes + kBoxes * s.long_bytes() + box * s.short_bytes();
#pragma unroll
      for (int k = 0; k < kBoxDepth; k += 16) {
        WarpgroupStep<kColumns>::template run<0, 0>(c, box_descriptor(many + k * 2, 0),
                                                    box_descriptor(few + k * 2, 0));
      }
    }
    commit_steps();
    wait_steps<0>();
    if (lane == 0) arrive(&empty[slot]);
  }
  settle(c);
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) {
    const int row = warp * 16 + lane / 4 + i / 2 % 2 * 8;
    const int token = i / 4 * 8 + lane % 4 * 2 + i % 2;
    if (row < s.slab_rows() && token < s.rows) store(c[i], results[row * kMostRows + token]);
  }
  sync_computing(kWarpgroup);
  if (s.gated == nullptr) return write_products(s, results, matrix, first_row, kWarpgroup);
  write_gated(s, results, first_row, kWarpgroup);
}

// Blocks for every processor, and no more rows in each than that takes.
int tiles_of_block(const NormLinears& call) {
  constexpr int64_t kProcessors = 132;
  int64_t tiles = 0;
  for (int i = 0; i < call.matrices; ++i) tiles += (call.widths[i] + 7) / 8;
  const int parts = call.gated != nullptr ? 2 : 1;
  const int64_t wanted = (tiles + kProcessors * parts - 1) / (kProcessors * parts);
  return static_cast<int>(std::clamp<int64_t>(wanted, 1, (kSkinnyWarps - 1) / parts));
}

Slabs slabs_of(const NormLinears& call) {
  Slabs s{};
  s.rows = static_cast<int>(call.size.rows);
  s.depth = static_cast<int>(call.size.dim);
  s.parts = call.gated != nullptr ? 2 : 1;
  s.part_rows = tiles_of_block(call) * kSkinnyTile;
  s.matrices = call.matrices;
  int blocks = 0;
  for (int i = 0; i < call.matrices; ++i) {
    s.widths[i] = static_cast<int>(call.widths[i]);
    s.first_block[i] = s.parts == 2 ? 0 : blocks;
    blocks += (s.widths[i] + s.part_rows - 1) / s.part_rows;
    s.outs[i] = static_cast<Bf16*>(call.outs[i]);
  }
  s.gated = static_cast<Bf16*>(call.gated);
  s.x = static_cast<const Bf16*>(call.x);
  s.norm_weight = static_cast<const Bf16*>(call.norm_weight);
  s.normed = static_cast<Bf16*>(call.normed);
  s.eps = call.eps;
  s.weights_are_settled = call.weights_are_settled;
  return s;
}

bool is_aligned(const void* x) { return reinterpret_cast<uintptr_t>(x) % 16 == 0; }

bool norms_in_each_block(const NormLinears& call) { return call.size.rows <= kMostNormed; }

// That the ring may have; 0 or 1: too few.
int stages_of(const Slabs& s, bool norms) {
  constexpr int kWideStages = 4;
  const int left = kSkinnyBytes - (norms ? s.normed_bytes() : 0);
  const int most = s.rows > kNarrowRows ? kWideStages : kSkinnyStages;
  return std::min({most, s.all_stages(), left / s.stage_bytes(norms)});
}

// `kernel` for `threads` threads, `beside` bytes of shared memory beside its ring.
template <typename Kernel>
void run(Kernel kernel, Slabs s, const NormLinears& call, bool norms, int threads, int beside,
         cudaStream_t stream) {
  s.stages = stages_of(s, norms);
  const auto bytes = static_cast<size_t>(s.stages * s.stage_bytes(norms) + beside);
  const auto map = [&](const void* x, int64_t rows, int box_rows) {
    return map_boxes({x, s.depth, rows, /*slices=*/1, s.depth, 0}, box_rows, /*box_slices=*/1);
  };
  Maps maps{};
  for (int i = 0; i < call.matrices; ++i) {
    maps.of[i] = map(call.weights[i], call.widths[i], s.part_rows);
  }
  const int last = s.parts == 2 ? 0 : s.matrices - 1;
  const int blocks = s.first_block[last] + (s.widths[last] + s.part_rows - 1) / s.part_rows;
  allow_shared_memory(kernel, bytes);
  launch(kernel, dim3(static_cast<unsigned>(blocks)), threads, bytes, stream, s, maps,
         map(call.normed, call.size.rows, s.rows));
}

}  // namespace

bool takes_norm_linears(const NormLinears& call) {
  const auto [rows, dim, bf16] = call.size;
  const bool is_shape = bf16 && rows > 0 && rows <= kMostRows && dim % 16 == 0 && dim <= 1 << 15 &&
                        is_aligned(call.x) && is_aligned(call.norm_weight);
  if (!is_shape) return false;
  for (int i = 0; i < call.matrices; ++i) {
    if (call.widths[i] == 0 || call.widths[i] > 1 << 24 || !is_aligned(call.weights[i])) {
      return false;
    }
  }
  const Slabs s = slabs_of(call);
  const bool norms = norms_in_each_block(call);
  return stages_of(s, norms) >= std::min(2, s.all_stages());
}

void norm_linears(const NormLinears& call, cudaStream_t stream) {
  const Slabs s = slabs_of(call);
  const int warps = s.slab_rows() / kSkinnyTile + 1;
  if (norms_in_each_block(call)) {
    return run(norm_linears_kernel<true>, s, call, /*norms=*/true, warps * 32, s.normed_bytes(),
               stream);
  }
  rms_norm(call.size, call.x, call.norm_weight, call.normed, call.eps, /*fused_rounding=*/false,
           stream, call.weights_are_settled);
  if (call.size.rows <= kNarrowRows) {
    return run(norm_linears_kernel<false>, s, call, /*norms=*/false, warps * 32, 0, stream);
  }
  // The lines behind the last box's.
  constexpr int kBehind = (kMostRows - 32) * kBoxLine;
  const auto wide = call.size.rows <= 32 ? wide_linears_kernel<32> : wide_linears_kernel<48>;
  run(wide, s, call, /*norms=*/false, kWarpgroup + 32, kBehind, stream);
}

}  // namespace samebits::cuda
