#include "harness/kernels/cuda/runtime/side_stream.h"

#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDACachingAllocator.h>

namespace samebits::cuda {
namespace {

thread_local SideStream* tls_side = nullptr;

// `later` goes on once `earlier` has done what it was given so far.
void wait(c10::cuda::CUDAStream later, c10::cuda::CUDAStream earlier) {
  at::cuda::CUDAEvent event;
  event.record(earlier);
  event.block(later);
}

}  // namespace

SideStream::SideStream(c10::cuda::CUDAStream captured)
    : captured_(captured),
      side_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, captured.device_index())) {
  TORCH_INTERNAL_ASSERT(tls_side == nullptr, "this thread has a side stream already");
  tls_side = this;
}

SideStream::~SideStream() { tls_side = nullptr; }

SideStream* SideStream::current() { return tls_side; }

cudaStream_t SideStream::fork(at::TensorList reads) {
  wait(side_, captured_);
  is_forked_ = true;
  for (const at::Tensor& x : reads) {
    c10::cuda::CUDACachingAllocator::recordStream(x.storage().data_ptr(), side_);
  }
  return side_;
}

void SideStream::join() {
  if (is_forked_) wait(captured_, side_);
}

}  // namespace samebits::cuda
