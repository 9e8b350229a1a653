#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "harness/kernels/cuda/rows/launchers.h"

// Matrix products on raw pointers, as rows/launchers.h has the operators on rows.
namespace samebits::cuda {

// ---- matrices (linear.h) -----------------------------------------------------------------------
// Element (r, k) of an operand is at data + r * row_stride + k * k_stride, in elements; one of the
// strides is 1.
struct Operand {
  const void* data;
  int64_t row_stride;
  int64_t k_stride;
};

// Rows of a matrix [m, n] for each group, most of them +0: row r of group g is row slots[g * m + r]
// of `rows` [.., n], or +0 where that is negative. No slots: nothing.
struct GroupRows {
  const int32_t* slots;
  const float* rows;
};

struct Gemm {
  Operand a;  // [m, k]
  Operand b;  // [n, k]
  void* out;  // [m, n]
  int64_t m, n, k;
  int64_t slice;  // 0: one chain
  bool bf16;      // of the operands
  bool bf16_out;
  float* workspace;  // gemm_workspace() elements
  // No kernel that may still run when this one begins writes it (launch.cuh).
  bool a_is_settled = false;
  bool b_is_settled = false;
  // bf16 [m, n], where gemm_adds(): sum = out + residual, once out is rounded.
  const void* residual = nullptr;
  void* sum = nullptr;
  // Of a weight's gradient: the sequences that cut k, of which each begins a new step of 16, and
  // whether each begins at a multiple of 16 of the operands already, filled up with zeros. One
  // group goes on from what `out`, float32, holds; several, of chains from +0, are joined by the
  // tree.
  Sequences sequences = {nullptr, 1, 0};
  bool is_padded = false;
  bool onto = false;
  // What each group's sum is added to before they are joined, where there are several.
  GroupRows added = {};
};

// Sequences of rows [columns], each from a multiple of 16 on and filled up with zeros
// (step_gradient.h). `rows`: of `to`, enough where there are 15 more a sequence than tokens; what
// is left over is zero, too.
void pad_sequences(const Sequences& call, const uint16_t* from, int64_t columns, uint16_t* to,
                   int64_t rows, cudaStream_t stream);

// Whether gemm() finds the sequences by itself where operands are not padded.
bool gemm_takes_sequences(const Gemm& call);
int64_t gemm_workspace(const Gemm& call);  // of a call without one
void gemm(const Gemm& call, cudaStream_t stream);
// Whether gemm() takes a residual with this call.
bool gemm_adds(const Gemm& call);

// ---- with a norm --------------------------------------------------------------------------------
// A norm and products of it with matrices [widths, dim], one chain each, and what the first two
// make as gate and up where there is `gated`. All bf16.
constexpr int kMostMatrices = 3;
struct NormLinears {
  Rows size;  // of x
  float eps;
  const void* x;
  const void* norm_weight;
  void* normed;
  int matrices;
  const void* weights[kMostMatrices];
  int64_t widths[kMostMatrices];  // where there is `gated`, both alike
  void* outs[kMostMatrices];
  void* gated;               // or null
  bool weights_are_settled;  // no kernel that may still run writes one (launch.cuh)
};

// Whether there are so few rows that norm_linears() knows the call.
bool takes_norm_linears(const NormLinears& call);
void norm_linears(const NormLinears& call, cudaStream_t stream);

// ---- what certified_gemm.h needs ---------------------------------------------------------------
// Numbers whose sums show their order, and some of any bits.
void fill_probe(uint16_t* to, int64_t n, uint32_t seed, cudaStream_t stream);
// Gives every NaN among n bf16 the contract's bits. x: a multiple of 16 bytes.
void canonical_nans(uint16_t* x, int64_t n, cudaStream_t stream);
// Sets *differs, on the card, to 1 where a and b do.
void compare(const uint16_t* a, const uint16_t* b, int64_t n, int32_t* differs,
             cudaStream_t stream);

}  // namespace samebits::cuda
