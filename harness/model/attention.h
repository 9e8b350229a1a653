#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "harness/model/kv_cache.h"
#include "harness/model/numerics.h"

namespace samebits {

// Inner attention of one layer on one rank's heads: plain local tensors in and out, q [1, T, H, D],
// k and v [1, T, G, D] -> [1, T, H, D]. The model is written against this interface; the trainer
// and the engine bring their own.
class Attention {
 public:
  virtual ~Attention() = default;
  virtual at::Tensor forward(int64_t layer, int64_t rank, const at::Tensor& q, const at::Tensor& k,
                             const at::Tensor& v) const = 0;
};

// Attends within the tokens of this call: packed sequences at cu_seqlens (int32 [S + 1]).
class ContiguousAttention : public Attention {
 public:
  ContiguousAttention(const Numerics& numerics, at::Tensor cu_seqlens, double scale)
      : numerics_(numerics), cu_seqlens_(std::move(cu_seqlens)), scale_(scale) {}
  at::Tensor forward(int64_t layer, int64_t rank, const at::Tensor& q, const at::Tensor& k,
                     const at::Tensor& v) const override;

 private:
  Numerics numerics_;
  at::Tensor cu_seqlens_;
  double scale_;
};

// What a paged step says of its tokens. All int32 but slots (int64); ops.cpp has the shapes.
struct PagedMetadata {
  at::Tensor slots;
  at::Tensor block_table;
  at::Tensor cu_seqlens;
  at::Tensor seq_lens;
};

// Writes this call's keys and values into the cache, then attends over all of each sequence's.
class PagedAttention : public Attention {
 public:
  PagedAttention(const Numerics& numerics, const KvCache& cache, PagedMetadata metadata,
                 double scale)
      : numerics_(numerics), cache_(cache), metadata_(std::move(metadata)), scale_(scale) {}
  at::Tensor forward(int64_t layer, int64_t rank, const at::Tensor& q, const at::Tensor& k,
                     const at::Tensor& v) const override;

 private:
  Numerics numerics_;
  const KvCache& cache_;
  PagedMetadata metadata_;
  double scale_;
};

}  // namespace samebits
