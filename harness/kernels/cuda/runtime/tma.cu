#include <cudaTypedefs.h>

#include "harness/kernels/cuda/runtime/checks.h"
#include "harness/kernels/cuda/runtime/tma.cuh"

namespace samebits::cuda {
namespace {

// The driver's, found by name: nothing is linked to it.
PFN_cuTensorMapEncodeTiled_v12000 encode_tiled() {
  static const auto found = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result{};
    const cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function,
                                                               12000, cudaEnableDefault, &result);
    const bool is_there = error != cudaSuccess || result == cudaDriverEntryPointSuccess;
    check_call(is_there ? error : cudaErrorSymbolNotFound, "looking for cuTensorMapEncodeTiled");
    return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
  }();
  return found;
}

}  // namespace

CUtensorMap map_boxes(const BoxedMatrix& x, int64_t box_lines, int64_t box_slices) {
  CUtensorMap map{};
  const auto unsigned_of = [](int64_t value) { return static_cast<cuuint64_t>(value); };
  const int64_t slice_stride = x.slices > 1 ? x.slice_stride : x.line_stride;
  const cuuint64_t sizes[3] = {unsigned_of(x.columns), unsigned_of(x.lines), unsigned_of(x.slices)};
  const cuuint64_t strides[2] = {unsigned_of(x.line_stride * 2), unsigned_of(slice_stride * 2)};
  const cuuint32_t box[3] = {kBoxDepth, static_cast<cuuint32_t>(box_lines),
                             static_cast<cuuint32_t>(box_slices)};
  const cuuint32_t steps[3] = {1, 1, 1};
  const CUresult result = encode_tiled()(
      &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, /*rank=*/3, const_cast<void*>(x.data), sizes, strides,
      box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  // Both libraries number what a caller can get wrong alike.
  check_call(static_cast<cudaError_t>(result), "describing a matrix to the copy engine");
  return map;
}

}  // namespace samebits::cuda
