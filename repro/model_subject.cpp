#include "repro/model_subject.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "harness/model/attention.h"
#include "harness/model/kv_cache.h"
#include "harness/workload/workload.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

struct Generator {
  std::unique_ptr<Qwen3> model;
  KvCache cache;
};

// In the order of the program's inputs.
enum Input { kIds, kPositions, kSlots, kBlockTable, kCuSeqlens, kSeqLens };

Tensors prefill_of(const Generator& generator, int64_t tokens) {
  const int64_t vocab = generator.model->config().vocab_size;
  const at::Tensor positions = at::arange(tokens);
  Tensors inputs(kSeqLens + 1);
  inputs[kIds] = ((positions * 7 + 3) % vocab).view({1, tokens});
  inputs[kPositions] = positions.view({1, tokens});
  inputs[kSlots] = positions;
  inputs[kBlockTable] = at::arange(generator.cache.blocks(), at::kInt).view({1, -1});
  inputs[kCuSeqlens] = at::tensor({int64_t{0}, tokens}, at::kInt);
  inputs[kSeqLens] = at::full({1}, tokens, at::kInt);
  for (at::Tensor& input : inputs) input = input.to(generator.model->device());
  return inputs;
}

Tensors logits_of(const Generator& generator, const Tensors& in) {
  const Qwen3& model = *generator.model;
  const PagedAttention attention(model.numerics(), generator.cache,
                                 {in[kSlots], in[kBlockTable], in[kCuSeqlens], in[kSeqLens]},
                                 model.attention_scale());
  return {model.forward(in[kIds], in[kPositions], attention)};
}

}  // namespace

Subject subject_of_arm(const Arm& arm) {
  std::vector<int64_t> sizes = sizes_to_try(std::max<int64_t>(arm.mesh.tp, 3));
  const int64_t hint = sizes.back() - 1;
  sizes.insert(sizes.end(), {33, 64});  // kernels that choose their tiles by rows choose others
  const int64_t block = arm.workload.block_size;
  std::unique_ptr<Qwen3> model = make_model(arm, make_parallel(arm));
  KvCache cache(model->config(), arm.mesh.tp, (sizes.back() + block - 1) / block, block,
                model->numerics().dtype, model->device());
  const auto generator =
      std::make_shared<const Generator>(Generator{std::move(model), std::move(cache)});
  Subject subject;
  subject.program = [generator](const Tensors& in) { return logits_of(*generator, in); };
  subject.dims = {{kIds, 1, "tokens", 1}, {kPositions, 1, "tokens", 1}, {kSlots, 0, "tokens", 1}};
  subject.inputs = [generator](int64_t tokens) { return prefill_of(*generator, tokens); };
  subject.hint = hint;
  subject.sizes = std::move(sizes);
  subject.guards = arm.guards;
  subject.rows_dim = 1;
  return subject;
}

}  // namespace samebits
