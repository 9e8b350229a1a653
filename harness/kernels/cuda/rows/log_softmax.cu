// log_softmax.h on the card.

#include "harness/kernels/cuda/rows/softmax.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

constexpr int kThreads = kSoftmaxThreads;

__device__ int lane() { return softmax_lane(); }

template <typename T>
__global__ void row_maxima_kernel(Logits size, const T* logits, RowSums sums) {
  __shared__ float shared[kThreads];
  wait_for_earlier_kernels();
  const int64_t row = blockIdx.x;
  const T* x = logits + row * size.width;
  const int64_t first = blockIdx.y * sums.width;
  const int64_t end = min(first + sums.width, size.vocab);
  const float most = row_max(first, end, shared, [x](int64_t i) { return load(x[i]); });
  if (lane() == 0) sums.note_maximum(row, blockIdx.y, most);
}

__device__ bool is_target(const Logits& size, int64_t target) {
  return target >= 0 && target < size.vocab;
}

template <typename T>
struct Gather {
  Logits size;
  const T* logits;
  const int64_t* targets;
  RowSums sums;
  float* logprob;
  float* lse;
  Fault* fault;

  __device__ void operator()(int64_t row) const {
    __shared__ float shared[kThreads];
    const float sum = log_sum_exp(sums, row, shared);
    if (lane() != 0) return;
    const int64_t target = targets[row];
    lse[row] = sum;
    if (is_target(size, target)) {
      logprob[row] = canonical_nan_f32(load(logits[row * size.width + target]) - sum);
    } else {
      raise(fault, FaultKind::kTarget, row, target, size.vocab);
      logprob[row] = f32_from_bits(kNanF32);
    }
  }
};

// Columns of one row that a block of the backward takes.
constexpr int64_t kBackwardColumns = 16 * kThreads;

template <typename T>
__global__ void log_softmax_gather_backward_kernel(Logits size, const float* dlogprob,
                                                   const T* logits, const int64_t* targets,
                                                   const float* lse, T* dlogits, Fault* fault) {
  const int64_t row = blockIdx.x;
  const int64_t target = targets[row];
  if (!is_target(size, target) && blockIdx.y == 0 && lane() == 0) {
    raise(fault, FaultKind::kTarget, row, target, size.vocab);
  }
  const T* x = logits + row * size.width;
  T* dx = dlogits + row * size.width;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kBackwardColumns;
  const int64_t end = min(first + kBackwardColumns, size.width);
  for (int64_t i = first + lane(); i < end; i += kThreads) {
    if (i < size.vocab) {
      const float t = i == target ? 1.0f : 0.0f;
      store(dlogprob[row] * (t - exp_f32(load(x[i]) - lse[row])), dx[i]);
    } else {
      store(0.0f, dx[i]);
    }
  }
}

}  // namespace

int64_t log_softmax_workspace(const Logits& size) { return row_sums_workspace(size); }

void log_softmax_gather(const Logits& size, const void* logits, const int64_t* targets,
                        float* workspace, float* logprob, float* lse, cudaStream_t stream) {
  if (size.rows == 0) return;
  const RowSums sums = row_sums(size, workspace);
  const auto rows = static_cast<unsigned>(size.rows);
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    const auto* x = static_cast<const T*>(logits);
    launch(row_maxima_kernel<T>, dim3(rows, static_cast<unsigned>(sums.chunks)), kThreads, 0,
           stream, size, x, sums);
    add_row_partials(size, x, sums, Gather<T>{size, x, targets, sums, logprob, lse, fault_record()},
                     stream);
  });
}

void log_softmax_gather_backward(const Logits& size, const float* dlogprob, const void* logits,
                                 const int64_t* targets, const float* lse, void* dlogits,
                                 cudaStream_t stream) {
  if (size.rows == 0) return;
  with_element(size.bf16, [&](auto element) {
    using T = decltype(element);
    const dim3 grid(static_cast<unsigned>(size.rows),
                    static_cast<unsigned>((size.width + kBackwardColumns - 1) / kBackwardColumns));
    launch_in_order(log_softmax_gather_backward_kernel<T>, grid, kThreads, 0, stream, size,
                    dlogprob, static_cast<const T*>(logits), targets, lse, static_cast<T*>(dlogits),
                    fault_record());
  });
}

}  // namespace samebits::cuda
