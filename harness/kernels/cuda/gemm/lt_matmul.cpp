#include "harness/kernels/cuda/gemm/lt_matmul.h"

#include <ATen/cuda/CUDAContext.h>
#include <c10/util/Exception.h>

#include <array>

namespace samebits::cuda {
namespace {

void check(cublasStatus_t status) {
  TORCH_CHECK(status == CUBLAS_STATUS_SUCCESS, "cuBLASLt: ", cublasLtGetStatusString(status));
}

using Preference = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>,
                                   LtDestroy<cublasLtMatmulPreferenceDestroy>>;

// All that an algorithm is configured by, besides its id.
struct Attribute {
  cublasLtMatmulAlgoConfigAttributes_t name;
  int64_t LtAlgorithm::*value;
  size_t bytes;
};
constexpr Attribute kAttributes[] = {
    {CUBLASLT_ALGO_CONFIG_TILE_ID, &LtAlgorithm::tile, 4},
    {CUBLASLT_ALGO_CONFIG_STAGES_ID, &LtAlgorithm::stages, 4},
    {CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &LtAlgorithm::split_k, 4},
    {CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &LtAlgorithm::reduction, 4},
    {CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, &LtAlgorithm::swizzle, 4},
    {CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, &LtAlgorithm::custom_option, 4},
    {CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, &LtAlgorithm::inner_shape, 2},
    {CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, &LtAlgorithm::cluster_shape, 2},
};

// Numbers of 2 and 4 bytes are read into the low bytes of one of 8, and written from there: hosts
// of cards are little-endian.
int64_t attribute_of(const cublasLtMatmulAlgo_t& algorithm,
                     cublasLtMatmulAlgoConfigAttributes_t name, size_t bytes) {
  int64_t value = 0;
  size_t written = 0;
  check(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, name, &value, bytes, &written));
  return value;
}

LtAlgorithm configuration_of(const cublasLtMatmulAlgo_t& algorithm) {
  LtAlgorithm configuration{};
  configuration.id = attribute_of(algorithm, CUBLASLT_ALGO_CONFIG_ID, 4);
  for (const auto& [name, value, bytes] : kAttributes) {
    configuration.*value = attribute_of(algorithm, name, bytes);
  }
  return configuration;
}

}  // namespace

LtMatmul::Layout LtMatmul::layout_of(cudaDataType_t type, int64_t rows, int64_t columns,
                                     int64_t stride) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, type, static_cast<uint64_t>(rows),
                                   static_cast<uint64_t>(columns), stride));
  return Layout(layout);
}

LtMatmul::Layout LtMatmul::operand(const Product::Layout& x, int64_t rows, int64_t k) {
  return x.by_rows ? layout_of(CUDA_R_16BF, k, rows, x.stride)
                   : layout_of(CUDA_R_16BF, rows, k, x.stride);
}

LtMatmul::LtMatmul(const Product& product)
    : out_type_(product.out == Dtype::bfloat16 ? CUDA_R_16BF : CUDA_R_32F),
      b_(operand(product.b, product.n, product.k)),
      a_(operand(product.a, product.m, product.k)),
      out_(layout_of(out_type_, product.n, product.m, product.n)) {
  cublasLtMatmulDesc_t handle = nullptr;
  check(cublasLtMatmulDescCreate(&handle, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  desc_.reset(handle);
  const auto transpose = [&](cublasLtMatmulDescAttributes_t attribute, bool is_set) {
    const cublasOperation_t operation = is_set ? CUBLAS_OP_T : CUBLAS_OP_N;
    check(cublasLtMatmulDescSetAttribute(handle, attribute, &operation, sizeof(operation)));
  };
  transpose(CUBLASLT_MATMUL_DESC_TRANSA, product.b.by_rows);
  transpose(CUBLASLT_MATMUL_DESC_TRANSB, !product.a.by_rows);
}

std::vector<LtAlgorithm> LtMatmul::candidates() const {
  cublasLtMatmulPreference_t handle = nullptr;
  check(cublasLtMatmulPreferenceCreate(&handle));
  const Preference preference(handle);
  const uint32_t no_reduction = CUBLASLT_REDUCTION_SCHEME_NONE;
  check(cublasLtMatmulPreferenceSetAttribute(handle, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                             &no_reduction, sizeof(no_reduction)));
  std::array<cublasLtMatmulHeuristicResult_t, 8> results{};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      at::cuda::getCurrentCUDABlasLtHandle(), desc_.get(), b_.get(), a_.get(), out_.get(),
      out_.get(), handle, results.size(), results.data(), &count);
  if (status != CUBLAS_STATUS_SUCCESS) return {};  // it has none
  std::vector<LtAlgorithm> found;
  for (int i = 0; i < count; ++i) {
    if (results[i].state != CUBLAS_STATUS_SUCCESS) continue;
    const LtAlgorithm algorithm = configuration_of(results[i].algo);
    if (algorithm.split_k <= 1 && algorithm.reduction == 0) found.push_back(algorithm);
  }
  return found;
}

std::optional<cublasLtMatmulAlgo_t> LtMatmul::build(const LtAlgorithm& algorithm) const {
  const cublasLtHandle_t handle = at::cuda::getCurrentCUDABlasLtHandle();
  cublasLtMatmulAlgo_t built{};
  if (cublasLtMatmulAlgoInit(handle, CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_16BF, CUDA_R_16BF,
                             out_type_, out_type_, static_cast<int>(algorithm.id),
                             &built) != CUBLAS_STATUS_SUCCESS) {
    return std::nullopt;
  }
  for (const auto& [name, value, bytes] : kAttributes) {
    if (cublasLtMatmulAlgoConfigSetAttribute(&built, name, &(algorithm.*value), bytes) !=
        CUBLAS_STATUS_SUCCESS) {
      return std::nullopt;
    }
  }
  cublasLtMatmulHeuristicResult_t result{};
  const cublasStatus_t status = cublasLtMatmulAlgoCheck(handle, desc_.get(), b_.get(), a_.get(),
                                                        out_.get(), out_.get(), &built, &result);
  if (status != CUBLAS_STATUS_SUCCESS || result.workspaceSize > 0) return std::nullopt;
  return built;
}

void LtMatmul::run(const Gemm& call, const cublasLtMatmulAlgo_t& algorithm,
                   cudaStream_t stream) const {
  const float one = 1.0f;
  const float zero = 0.0f;
  check(cublasLtMatmul(at::cuda::getCurrentCUDABlasLtHandle(), desc_.get(), &one, call.b.data,
                       b_.get(), call.a.data, a_.get(), &zero, call.out, out_.get(), call.out,
                       out_.get(), &algorithm, /*workspace=*/nullptr, 0, stream));
  if (call.bf16_out) canonical_nans(static_cast<uint16_t*>(call.out), call.m * call.n, stream);
}

}  // namespace samebits::cuda
