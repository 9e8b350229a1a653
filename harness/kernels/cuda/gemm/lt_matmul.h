#pragma once

#include <cublasLt.h>

#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "harness/kernels/cuda/gemm/certificate_file.h"
#include "harness/kernels/cuda/gemm/launchers.h"

namespace samebits::cuda {

template <auto kDestroy>
struct LtDestroy {
  template <typename T>
  void operator()(T* handle) const {
    kDestroy(handle);
  }
};

// A product of bf16 operands in cuBLASLt's terms, on the current card. The library's matrices are
// by columns, so that the result's transpose is what it computes: out^T [n, m] = b [n, k] a^T [k,
// m]. Every member throws c10::Error where the library fails.
class LtMatmul {
 public:
  explicit LtMatmul(const Product& product);

  // What the library offers without a split of k and without a workspace, its best guess first.
  std::vector<LtAlgorithm> candidates() const;

  // nullopt where the library does not take the configuration for this product on this card, or
  // only with a workspace.
  std::optional<cublasLtMatmulAlgo_t> build(const LtAlgorithm& algorithm) const;

  // `call` is of the product; NaNs in a bf16 result get the contract's bits.
  void run(const Gemm& call, const cublasLtMatmulAlgo_t& algorithm, cudaStream_t stream) const;

 private:
  using Desc = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulDesc_t>,
                               LtDestroy<cublasLtMatmulDescDestroy>>;
  using Layout = std::unique_ptr<std::remove_pointer_t<cublasLtMatrixLayout_t>,
                                 LtDestroy<cublasLtMatrixLayoutDestroy>>;

  static Layout layout_of(cudaDataType_t type, int64_t rows, int64_t columns, int64_t stride);
  static Layout operand(const Product::Layout& x, int64_t rows, int64_t k);

  cudaDataType_t out_type_;
  Desc desc_;
  Layout b_, a_, out_;
};

}  // namespace samebits::cuda
