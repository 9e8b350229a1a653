#include "harness/detect/model_subject.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/ScopeExit.h>
#include <torch/csrc/autograd/autograd.h>

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
  std::unique_ptr<Decoder> model;
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

// As a step of the engine that is cut at attention: padding is of no sequence and writes no slot.
Tensors padded_prefill_of(const Generator& generator, int64_t tokens, int64_t bucket,
                          PaddingContent content) {
  const bool is_hostile = content == PaddingContent::kHostile;
  Tensors inputs = prefill_of(generator, tokens);
  const auto pad = [&](Input input, int64_t value) {
    at::Tensor& x = inputs[input];
    std::vector<int64_t> sizes = x.sizes().vec();
    sizes.back() = bucket - tokens;
    x = at::cat({x, at::full(sizes, value, x.options())}, -1);
  };
  pad(kIds, is_hostile ? generator.model->config().vocab_size - 1 : 0);
  pad(kPositions, is_hostile ? generator.model->rope().cos.size(0) - 1 : 0);
  pad(kSlots, -1);
  return inputs;
}

// Keys and values of every layer and rank by slot, views.
Tensors slots_of(const Generator& generator) {
  Tensors slots;
  for (int64_t layer = 0; layer < generator.model->config().num_hidden_layers; ++layer) {
    for (int64_t rank = 0; rank < generator.cache.hosted(); ++rank) {
      const KvCache::Page& page = generator.cache.page(layer, rank);
      for (const at::Tensor& pages : {page.k, page.v}) slots.push_back(pages.flatten(0, 1));
    }
  }
  return slots;
}

// Those of the mesh, in the order of communicator.h. Without a mesh nothing is summed.
std::vector<RankSum> sums_of(const c10::intrusive_ptr<DeviceMesh>& mesh) {
  if (!mesh) return {};
  const ReductionTree declared = pairwise_tree(mesh->size());
  return {{"all_reduce", mesh->size(),
           [mesh](const Tensors& contributions) {
             return mesh->communicator().all_reduce(contributions);
           },
           declared},
          {"reduce_scatter", mesh->size(),
           [mesh](const Tensors& contributions) {
             return Tensors{at::cat(mesh->communicator().reduce_scatter(contributions, /*dim=*/0))};
           },
           declared}};
}

Tensors logits_of(const Generator& generator, const Tensors& in) {
  const Decoder& model = *generator.model;
  const PagedAttention attention(model.numerics(), generator.cache,
                                 {in[kSlots], in[kBlockTable], in[kCuSeqlens], in[kSeqLens]},
                                 model.attention_scale());
  return {model.forward(in[kIds], in[kPositions], attention)};
}

// Those of the tokens' logprobs, as the trainer attends and differentiates.
Tensors gradients_of(const Generator& generator, const Tensors& in) {
  const at::AutoGradMode with_gradients(true);
  const Decoder& model = *generator.model;
  Tensors weights;
  for (const Parameter& parameter : model.parameters()) {
    weights.push_back(parameter.tensor.requires_grad_(true));
  }
  const auto as_before = c10::make_scope_exit([&] {
    for (const at::Tensor& weight : weights) weight.requires_grad_(false);
  });
  const ContiguousAttention attention(model.numerics(), in[kCuSeqlens], model.attention_scale());
  const at::Tensor logits = model.forward(in[kIds], in[kPositions], attention);
  const at::Tensor logprobs =
      model.numerics().log_softmax_gather(logits, in[kIds], model.config().vocab_size);
  Tensors gradients = torch::autograd::grad({logprobs}, weights, {at::ones_like(logprobs)},
                                            /*retain_graph=*/std::nullopt, /*create_graph=*/false,
                                            /*allow_unused=*/true);
  std::erase_if(gradients, [](const at::Tensor& each) { return !each.defined(); });
  return gradients;
}

}  // namespace

Subject subject_of_arm(const ArmSettings& arm) {
  std::vector<int64_t> sizes = sizes_to_try(std::max<int64_t>(arm.mesh.tp, 3));
  const int64_t hint = sizes.back() - 1;
  sizes.insert(sizes.end(), {33, 64});  // kernels that choose their tiles by rows choose others
  const int64_t block = arm.workload.block_size;
  std::unique_ptr<Decoder> model = make_model(arm, arm.generator, make_parallel(arm));
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
  subject.guards = arm.generator.guards;
  subject.rows_dim = 1;
  subject.padding = Padding{[generator](int64_t tokens, int64_t bucket, PaddingContent content) {
                              return padded_prefill_of(*generator, tokens, bucket, content);
                            },
                            kSlots, slots_of(*generator)};
  subject.gradients = [generator](const Tensors& in) { return gradients_of(*generator, in); };
  subject.rank_sums = sums_of(generator->model->parallel().mesh());
  return subject;
}

}  // namespace samebits
