#include "harness/kernels/cuda/runtime/fault.h"

#include <c10/cuda/CUDAException.h>
#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>

namespace samebits::cuda {

Fault* fault_record() {
  static Fault* const record = [] {
    void* memory = nullptr;
    C10_CUDA_CHECK(
        cudaHostAlloc(&memory, sizeof(Fault), cudaHostAllocPortable | cudaHostAllocMapped));
    auto* record = new (memory) Fault{};
    C10_CUDA_CHECK(cudaMalloc(&record->claim, sizeof(int)));
    C10_CUDA_CHECK(cudaMemset(record->claim, 0, sizeof(int)));
    return record;
  }();
  return record;
}

void throw_fault() {
  Fault* record = fault_record();
  const Fault fault = *record;
  const auto [claim, kind, i, found, limit] = fault;
  if (kind != 0) {
    record->kind = 0;
    C10_CUDA_CHECK(cudaMemset(claim, 0, sizeof(int)));
  }
  switch (static_cast<FaultKind>(kind)) {
    case FaultKind::kNone:
      return;
    case FaultKind::kRopePosition:
      TORCH_CHECK(false, "rope: token ", i, " has position ", found, ", expected one in [0, ",
                  limit, ")");
    case FaultKind::kTarget:
      TORCH_CHECK(false, "log_softmax_gather: row ", i, " has target ", found,
                  ", expected one in [0, ", limit, ")");
    case FaultKind::kGrpoTokens:
      TORCH_CHECK(false, "grpo_loss: found ", found,
                  " tokens in the step, expected at least the ", limit, " of this call");
    case FaultKind::kSampleKey:
      TORCH_CHECK(false, "sample: row ", i / 2, " has ", i % 2 == 0 ? "sequence " : "position ",
                  found, ", expected one in [0, 2^32)");
    case FaultKind::kAdamwStep:
      TORCH_CHECK(false, "adamw_: found step ", found, ", expected 1 or more");
    case FaultKind::kSequences:
      TORCH_CHECK(false, "attention: cu_seqlens[", i + 1, "] is ", found,
                  ", expected ascending values up to the ", limit, " tokens of q");
    case FaultKind::kStarts:
      TORCH_CHECK(false, "starts[", i + 1, "] is ", found, ", expected ascending values up to the ",
                  limit, " tokens");
    case FaultKind::kKeys:
      TORCH_CHECK(false, "samebits::paged_attention: sequence ", i, " has ", found,
                  " keys, expected at least its ", limit, " queries");
    case FaultKind::kPages:
      TORCH_CHECK(false, "samebits::paged_attention: sequence ", i, " has at least ", found,
                  " keys, expected at most ", limit, ", as its row of block_table holds");
    case FaultKind::kPage:
      TORCH_CHECK(false, "samebits::paged_attention: element ", i, " of block_table is ", found,
                  ", expected 0 to ", limit - 1);
    case FaultKind::kSlot:
      TORCH_CHECK(false, "samebits::write_kv: slots[", i, "] is ", found, ", expected -1 to ",
                  limit - 1);
    case FaultKind::kDigestedRows:
      TORCH_CHECK(false, "digest_rows: value ", i, " has ", limit, " rows, found a size of ",
                  found);
    case FaultKind::kDecodeSlot:
      TORCH_CHECK(false, "decode_stages: token ", i, " writes slot ", found, ", expected ", limit,
                  ", where its sequence reads it");
    case FaultKind::kDecodeRow:
      TORCH_CHECK(false, "decode_stages: rows[", i, "] is ", found,
                  ", expected one of the 8 tokens from ", limit, " on");
    case FaultKind::kDecodeWait: {
      static constexpr const char* kStages[] = {"attention norm and q, k, v", "attention", "wo",
                                                "ffn norm, gate and up",      "down",      "head",
                                                "the ring of weights",        "sampling"};
      TORCH_CHECK(false, "decode_stages: layer ", i / 8, ", ", kStages[i % 8], ": processor ",
                  found, " waited for more than ", limit, " cycles");
    }
  }
  TORCH_INTERNAL_ASSERT(false, "a fault of unknown kind ", kind);
}

}  // namespace samebits::cuda
