// grpo_loss.h, sum_squares.h, adamw.h, clip_scale.h: the loss and the step of the optimizer.

#include <algorithm>

#include "harness/kernels/clip_scale.h"
#include "harness/kernels/cuda/rows/launchers.h"
#include "harness/kernels/cuda/runtime/device.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"
#include "harness/kernels/cuda/runtime/sequences.cuh"
#include "harness/kernels/sum_squares.h"

namespace samebits::cuda {
namespace {

constexpr int kThreads = 256;

// ---- grpo_loss ---------------------------------------------------------------------------------
struct Sums {
  float logprobs;
  float reference;
};

__device__ float ascending_sum(const float* x, int64_t n) {
  float sum = 0.0f;
#pragma unroll 16
  for (int64_t i = 0; i < n; ++i) sum = sum + x[i];
  return sum;
}

// To every thread of the block. The two sums, each by one thread, run in different warps.
__device__ Sums both_sums(const Loss& call, const TokenRange& tokens) {
  __shared__ Sums sums;
  const int64_t n = tokens.end - tokens.first;
  if (threadIdx.x == 0) sums.logprobs = ascending_sum(call.logprobs + tokens.first, n);
  if (threadIdx.x == 32) sums.reference = ascending_sum(call.reference + tokens.first, n);
  __syncthreads();
  return sums;
}

// The tokens of all sequences of the call; those from there on are padding.
__device__ int64_t tokens_of_call(const Loss& call) {
  const Sequences& all = call.sequences_of_call;
  return all.starts == nullptr ? all.tokens : all.starts[all.count];
}

// The tokens of the step, checked by one thread.
__device__ float step_tokens(const Loss& call, Fault* fault) {
  const int64_t tokens = *call.tokens;
  const int64_t of_call = tokens_of_call(call);
  if (tokens < of_call && threadIdx.x == 0) {
    raise(fault, FaultKind::kGrpoTokens, 0, tokens, of_call);
  }
  return static_cast<float>(tokens);
}

// NaN stays NaN, as in torch.
__device__ float clamp(float x, float low, float high) {
  return x < low ? low : x > high ? high : x;
}
__device__ float minimum(float x, float y) { return x != x || x < y ? x : y; }

// One block a sequence.
__global__ void grpo_loss_kernel(Loss call, float* losses, float* all_stats, Fault* fault) {
  const int64_t s = blockIdx.x;
  float* loss = losses + s;
  float* stats = all_stats + s * 6;
  const float tokens = step_tokens(call, fault);
  const Sums sums = both_sums(call, tokens_of(call.sequences_of_call, s, fault));
  if (threadIdx.x != 0) return;
  const float advantage = call.advantage[s];
  const float d = sums.logprobs - sums.reference;
  const float ratio = exp_f32(d);
  const float pg =
      -minimum(ratio * advantage, clamp(ratio, call.low, call.high) * advantage) / call.sequences;
  const float entropy = tokens == 0.0f ? 0.0f : (0.0f - sums.logprobs) / tokens;
  const float kl = ((ratio - 1.0f) - d) / call.sequences;
  store((pg - call.entropy * entropy) + call.kl * kl, *loss);
  store(sums.logprobs, stats[0]);
  store(sums.reference, stats[1]);
  store(ratio, stats[2]);
  store(pg, stats[3]);
  store(entropy, stats[4]);
  store(kl, stats[5]);
}

// d(-pg * sequences) / d(ratio), over the advantage.
__device__ float share_of_gradient(float ratio, float advantage, const Loss& call) {
  const float plain = ratio * advantage;
  const float clamped = clamp(ratio, call.low, call.high) * advantage;
  if (plain < clamped) return 1.0f;
  if (plain == clamped) return ratio >= call.low && ratio <= call.high ? 1.0f : 0.5f;
  return plain > clamped ? 0.0f : f32_from_bits(kNanF32);
}

// One block a sequence. Every thread has the one gradient, and writes its part of the row; padding
// is dealt to all blocks.
__global__ void grpo_loss_backward_kernel(Loss call, const float* dloss, float* dlogprobs,
                                          Fault* fault) {
  const int64_t s = blockIdx.x;
  const float tokens = step_tokens(call, fault);
  const TokenRange range = tokens_of(call.sequences_of_call, s, fault);
  const Sums sums = both_sums(call, range);
  const float advantage = call.advantage[s];
  const float ratio = exp_f32(sums.logprobs - sums.reference);
  const float share = share_of_gradient(ratio, advantage, call);
  const float from_pg = call.entropy / tokens - ((share * advantage) * ratio) / call.sequences;
  const float gradient = dloss[s] * (from_pg + (call.kl * (ratio - 1.0f)) / call.sequences);
  for (int64_t i = range.first + threadIdx.x; i < range.end; i += kThreads) {
    store(gradient, dlogprobs[i]);
  }
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = max(tokens_of_call(call), int64_t{0}) + s * kThreads + threadIdx.x;
       i < call.sequences_of_call.tokens; i += stride) {
    dlogprobs[i] = 0.0f;
  }
}

// ---- sum_squares -------------------------------------------------------------------------------
// How x [outer, dim, inner] is cut along dim, and how a slice is cut into blocks.
struct Cut {
  int64_t outer, dim, inner;
  int64_t slice;   // indices of dim
  int64_t slices;  // 0 where dim is empty
  int64_t blocks;  // of a whole slice
};

SAMEBITS_HOST_DEVICE int64_t blocks_of(int64_t elements) {
  return (elements + kSumSquaresBlock - 1) / kSumSquaresBlock;
}

// One slice of everything is one row.
Cut cut_of(const Squares& size) {
  const bool whole = size.slice == 0;
  const int64_t outer = whole ? 1 : size.outer;
  const int64_t dim = whole ? size.outer * size.dim * size.inner : size.dim;
  const int64_t inner = whole ? 1 : size.inner;
  const int64_t slice = whole ? dim : std::min(size.slice, dim);
  const int64_t slices = dim == 0 ? 0 : (dim + slice - 1) / slice;
  return {outer, dim, inner, slice, slices, blocks_of(outer * slice * inner)};
}

bool is_empty(const Cut& cut) { return cut.outer * cut.dim * cut.inner == 0; }

// Elements of a slice in each index of outer; the last slice may be shorter.
__device__ int64_t run_of(const Cut& cut, int64_t slice) {
  return min(cut.slice, cut.dim - slice * cut.slice) * cut.inner;
}

// One block of elements: sums[slice][block]. blockIdx.x counts through all of them.
template <typename T>
__global__ void square_block_kernel(Cut cut, const T* x, float* sums) {
  __shared__ float shared[kSumSquaresLanes];
  const int64_t slice = blockIdx.x / cut.blocks;
  const int64_t run = run_of(cut, slice);
  const int64_t first = (blockIdx.x % cut.blocks) * kSumSquaresBlock;
  const int64_t end = min(first + kSumSquaresBlock, cut.outer * run);
  if (first >= end) return;  // the last slice has fewer
  const T* from = x + slice * cut.slice * cut.inner;
  float partial = 0.0f;
  const auto add = [&](int64_t at) {
    const float value = load(from[at]);
    partial = partial + value * value;
  };
  // A block that lies together, as those of a slice along the first dimension do, and is whole.
  if (end <= run && end - first == kSumSquaresBlock) {
#pragma unroll 16  // loads go ahead
    for (int i = 0; i < kSumSquaresBlock / kSumSquaresLanes; ++i) {
      add(first + i * kSumSquaresLanes + threadIdx.x);
    }
  } else if (cut.outer * run <= INT32_MAX) {
    const auto width = static_cast<uint32_t>(run);
#pragma unroll 8
    for (auto i = static_cast<uint32_t>(first) + threadIdx.x; i < static_cast<uint32_t>(end);
         i += kSumSquaresLanes) {
      const uint32_t line = i / width;
      add(line * (cut.dim * cut.inner) + (i - line * width));
    }
  } else {
#pragma unroll 4
    for (int64_t i = first + threadIdx.x; i < end; i += kSumSquaresLanes) {
      add(i / run * (cut.dim * cut.inner) + i % run);
    }
  }
  const float sum = fold_block<kSumSquaresLanes>(partial, shared);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// The pairwise tree by one block, in place: node j of a level lies at j * stride, so that its
// children, 2j and 2j + 1 of the level before, lie at the same place and half a stride on, and an
// odd last one is carried up by staying where it is. The root is values[0].
__device__ void pairwise_sum(float* values, int64_t count) {
  for (int64_t half = 1; half < count; half *= 2) {
    for (int64_t i = threadIdx.x * 2 * half; i + half < count; i += kThreads * 2 * half) {
      values[i] = values[i] + values[i + half];
    }
    __syncthreads();
  }
}

// One block a slice.
__global__ void square_slice_kernel(Cut cut, float* block_sums, float* slice_sums) {
  const int64_t slice = blockIdx.x;
  float* sums = block_sums + slice * cut.blocks;
  pairwise_sum(sums, blocks_of(cut.outer * run_of(cut, slice)));
  if (threadIdx.x == 0) slice_sums[slice] = sums[0];
}

__global__ void square_sum_kernel(int64_t slices, float* slice_sums, float* out) {
  pairwise_sum(slice_sums, slices);
  if (threadIdx.x == 0) store(slice_sums[0], *out);
}

// ---- adamw_ ------------------------------------------------------------------------------------
template <typename T, typename G>
__device__ void adamw_element(const Adamw& call, const AdamwConstants& k, int64_t i) {
  T* weight = static_cast<T*>(call.weight) + i;
  float* m = static_cast<float*>(call.m) + i;
  float* v = static_cast<float*>(call.v) + i;
  const float g = load(static_cast<const G*>(call.grad)[i]) * k.scale;
  float p = (call.master != nullptr ? call.master[i] : load(*weight)) * k.decay;
  const float m_new = *m + k.one_minus_beta1 * (g - *m);
  const float v_new = *v * k.beta2 + (k.one_minus_beta2 * g) * g;
  p = p - (k.step_size * m_new) / (sqrtf(v_new) / k.sqrt_correction2 + k.eps);
  store(m_new, *m);
  store(v_new, *v);
  if (call.master != nullptr) store(p, call.master[i]);
  store(p, *weight);
}

__device__ void adamw_bf16_element(const Adamw& call, const AdamwConstants& k, int64_t i) {
  Bf16* weight = static_cast<Bf16*>(call.weight) + i;
  Bf16* m = static_cast<Bf16*>(call.m) + i;
  Bf16* v = static_cast<Bf16*>(call.v) + i;
  const AdamwBf16 x = adamw_bf16({load(*weight), load(*m), load(*v)},
                                 load(static_cast<const Bf16*>(call.grad)[i]), k);
  store(x.p, *weight);
  store(x.m, *m);
  store(x.v, *v);
}

// A step that counts from less than 1 changes nothing.
template <typename T, typename G, bool kBf16State>
__global__ void adamw_kernel(Adamw call, Fault* fault) {
  __shared__ AdamwConstants shared;
  const int64_t step = *call.step;
  if (step < 1) {
    if (blockIdx.x == 0 && threadIdx.x == 0) raise(fault, FaultKind::kAdamwStep, 0, step, 1);
    return;
  }
  if (threadIdx.x == 0) shared = adamw_constants(call.settings, *call.scale, step);
  __syncthreads();
  const AdamwConstants constants = shared;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < call.n;
       i += stride) {
    if constexpr (kBf16State) {
      adamw_bf16_element(call, constants, i);
    } else {
      adamw_element<T, G>(call, constants, i);
    }
  }
}

template <typename T, typename G, bool kBf16State = false>
void launch_adamw(const Adamw& call, cudaStream_t stream) {
  const auto blocks =
      static_cast<unsigned>(std::min<int64_t>((call.n + kThreads - 1) / kThreads, 4096));
  launch_in_order(adamw_kernel<T, G, kBf16State>, blocks, kThreads, 0, stream, call,
                  fault_record());
}

// ---- clip_scale --------------------------------------------------------------------------------
constexpr int kClipSquares = 64;

struct SquarePointers {
  const float* square[kClipSquares];
};

// Adds up to kClipSquares squares to the sum in *norm, which the first launch starts from +0. The
// last one makes the norm and the scale of it.
__global__ void clip_scale_kernel(SquarePointers squares, int count, bool is_first, bool is_last,
                                  float clip_norm, float* norm, float* scale) {
  __shared__ float values[kClipSquares];
  const int mine = static_cast<int>(threadIdx.x);
  if (mine < count) values[mine] = *squares.square[mine];
  __syncthreads();
  if (mine != 0) return;
  float sum = is_first ? 0.0f : *norm;
  for (int i = 0; i < count; ++i) sum = sum + values[i];
  if (is_last) {
    const ClipScale clip = clip_scale_of_sum(sum, clip_norm);
    *norm = clip.norm;
    *scale = clip.scale;
  } else {
    *norm = sum;
  }
}

}  // namespace

void grpo_loss(const Loss& call, float* loss, float* stats, cudaStream_t stream) {
  if (call.sequences_of_call.count == 0) return;
  launch_in_order(grpo_loss_kernel, static_cast<unsigned>(call.sequences_of_call.count), kThreads,
                  0, stream, call, loss, stats, fault_record());
}

void grpo_loss_backward(const Loss& call, const float* dloss, float* dlogprobs,
                        cudaStream_t stream) {
  if (call.sequences_of_call.count == 0) {
    const size_t bytes = static_cast<size_t>(call.sequences_of_call.tokens) * sizeof(float);
    if (bytes > 0) check_call(cudaMemsetAsync(dlogprobs, 0, bytes, stream), "filling with zeros");
    return;
  }
  launch_in_order(grpo_loss_backward_kernel, static_cast<unsigned>(call.sequences_of_call.count),
                  kThreads, 0, stream, call, dloss, dlogprobs, fault_record());
}

// The blocks' sums, slice after slice, then the slices'.
int64_t sum_squares_workspace(const Squares& size) {
  const Cut cut = cut_of(size);
  return is_empty(cut) ? 0 : cut.slices * (cut.blocks + 1);
}

void sum_squares(const Squares& size, const void* x, float* out, float* workspace,
                 cudaStream_t stream) {
  static_assert(kThreads == kSumSquaresLanes);
  const Cut cut = cut_of(size);
  if (is_empty(cut)) {
    check_call(cudaMemsetAsync(out, 0, sizeof(float), stream), "filling with zeros");  // +0
    return;
  }
  float* slice_sums = workspace + cut.slices * cut.blocks;
  const auto blocks = static_cast<unsigned>(cut.slices * cut.blocks);
  if (size.bf16) {
    launch_in_order(square_block_kernel<Bf16>, blocks, kThreads, 0, stream, cut,
                    static_cast<const Bf16*>(x), workspace);
  } else {
    launch_in_order(square_block_kernel<float>, blocks, kThreads, 0, stream, cut,
                    static_cast<const float*>(x), workspace);
  }
  launch_in_order(square_slice_kernel, static_cast<unsigned>(cut.slices), kThreads, 0, stream, cut,
                  workspace, slice_sums);
  launch_in_order(square_sum_kernel, 1, kThreads, 0, stream, cut.slices, slice_sums, out);
}

void adamw(const Adamw& call, cudaStream_t stream) {
  if (call.n == 0) return;
  if (call.bf16_state) {
    launch_adamw<Bf16, Bf16, /*kBf16State=*/true>(call, stream);
  } else if (call.bf16 && !call.float_grad) {
    launch_adamw<Bf16, Bf16>(call, stream);
  } else if (call.bf16) {
    launch_adamw<Bf16, float>(call, stream);
  } else {
    launch_adamw<float, float>(call, stream);
  }
}

void clip_scale(const float* const* squares, int64_t count, float clip_norm, float* norm,
                float* scale, cudaStream_t stream) {
  for (int64_t first = 0; first < count; first += kClipSquares) {
    const auto here = static_cast<int>(std::min<int64_t>(kClipSquares, count - first));
    SquarePointers pointers = {};
    std::copy_n(squares + first, here, pointers.square);
    launch_in_order(clip_scale_kernel, 1, kClipSquares, 0, stream, pointers, here, first == 0,
                    first + here == count, clip_norm, norm, scale);
  }
}

}  // namespace samebits::cuda
