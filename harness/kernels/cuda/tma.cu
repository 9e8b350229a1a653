#include <cudaTypedefs.h>

#include "harness/kernels/cuda/tma.cuh"

namespace samebits::cuda {
namespace {

// The driver's, found by name: nothing is linked to it.
PFN_cuTensorMapEncodeTiled_v12000 encode_tiled() {
  static const auto found = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result{};
    cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault,
                                     &result);
    return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
  }();
  return found;
}

}  // namespace

CUtensorMap map_boxes(const BoxedMatrix& x, int64_t rows) {
  CUtensorMap map{};
  const auto unsigned_of = [](int64_t value) { return static_cast<cuuint64_t>(value); };
  const cuuint64_t sizes[3] = {unsigned_of(x.width), unsigned_of(x.rows), unsigned_of(x.slices)};
  const cuuint64_t strides[2] = {unsigned_of(x.row_stride * 2), unsigned_of(x.width * 2)};
  const cuuint32_t box[3] = {kBoxDepth, static_cast<cuuint32_t>(rows),
                             static_cast<cuuint32_t>(x.slices)};
  const cuuint32_t steps[3] = {1, 1, 1};
  encode_tiled()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, /*rank=*/3, const_cast<void*>(x.data),
                 sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                 CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                 CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return map;
}

}  // namespace samebits::cuda
