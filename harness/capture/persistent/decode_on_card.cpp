// samebits::decode_stages on a card: from stages and tensors to the kernel of persistent.h.

#include <ATen/cuda/CUDAContext.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "harness/capture/persistent/stages.h"
#include "harness/kernels/cuda/persistent/persistent.h"

namespace samebits {
namespace {

using cuda::DecodeLayer;
using cuda::DecodeOutputs;
using cuda::PersistentStep;
using Tensors = std::vector<at::Tensor>;

// How long a wait within the kernel may take: SAMEBITS_DECODE_WAIT_S seconds, or 2.
int64_t patience() {
  const char* text = std::getenv("SAMEBITS_DECODE_WAIT_S");
  const double seconds = text == nullptr ? 2.0 : std::strtod(text, nullptr);
  constexpr double kCyclesASecond = 1.8e9;
  return static_cast<int64_t>((seconds > 0 ? seconds : 2.0) * kCyclesASecond);
}

// Fills a PersistentStep. Every shape is checked against the first one seen.
class CardStep {
 public:
  CardStep(const StageList& list, const Tensors& operands, const Tensors& caches,
           const at::Tensor& progress, const at::Tensor& exchanges)
      : list_(list) {
    TORCH_CHECK(operands.size() == list.operands.size() && caches.size() == list.caches.size(),
                "decode_stages: found ", operands.size(), " operands and ", caches.size(),
                " caches, expected ", list.operands.size(), " and ", list.caches.size());
    for (size_t i = 0; i < operands.size(); ++i) values_[list.operands[i]] = operands[i];
    for (size_t i = 0; i < caches.size(); ++i) values_[list.caches[i]] = caches[i];
    TORCH_CHECK(progress.numel() == 2 && progress.scalar_type() == at::kLong &&
                    exchanges.numel() >= exchange_words(list.widths) &&
                    exchanges.scalar_type() == at::kLong,
                "decode_stages: found progress ", progress.sizes(), " and exchanges ",
                exchanges.sizes(), ", expected Long [2] and ", exchange_words(list.widths));
    step_.progress = progress.mutable_data_ptr<int64_t>();
    step_.exchanges = exchanges.mutable_data_ptr<int64_t>();
    step_.patience = patience();
    fill();
  }

  const PersistentStep& step() const { return step_; }
  Tensors results() const {
    Tensors results;
    for (const int id : list_.results) results.push_back(made_.at(id));
    return results;
  }

 private:
  template <typename T>
  const T& stage(size_t index, const char* expected) const {
    const T* found = index < list_.stages.size() ? std::get_if<T>(&list_.stages[index]) : nullptr;
    TORCH_CHECK_NOT_IMPLEMENTED(found, "decode_stages on a card: stage ", index, " is not ",
                                expected, ", expected a decoder's layers in their order");
    return *found;
  }

  void fill() {
    const auto& embed = stage<EmbedStage>(0, "an embedding");
    const bool is_drawn = std::holds_alternative<SampleStage>(list_.stages.back());
    const size_t layers = (list_.stages.size() - 2) / 5;
    TORCH_CHECK_NOT_IMPLEMENTED(
        list_.stages.size() == (is_drawn ? 3 : 2) + 5 * layers && layers >= 1 && layers <= cuda::kMaxDecodeLayers,
        "decode_stages on a card: found ", list_.stages.size(), " stages, expected 2, or 3 with ",
        "sampling, and 5 for each of 1 to ", cuda::kMaxDecodeLayers, " layers");
    step_.layers = static_cast<int>(layers);
    fill_inputs(embed, stage<AttentionStage>(2, "attention"));
    int x = embed.out;
    for (size_t l = 0; l < layers; ++l) x = fill_layer(static_cast<int>(l), x);
    fill_head(1 + 5 * layers, x, is_drawn);
    if (is_drawn) fill_sample(std::get<SampleStage>(list_.stages.back()));
    const char* reason = cuda::why_not_decode(step_);
    TORCH_CHECK_NOT_IMPLEMENTED(*reason == '\0', "decode_stages on a card: found ", reason);
  }

  const at::Tensor& value(int id) const { return values_.at(id); }

  // bf16 elements of these sizes.
  const uint16_t* weight(int id, at::IntArrayRef sizes) const {
    const at::Tensor& x = value(id);
    TORCH_CHECK_NOT_IMPLEMENTED(
        x.scalar_type() == at::kBFloat16 && x.sizes() == sizes && x.is_contiguous(),
        "decode_stages on a card: found ", x.scalar_type(), " ", x.sizes(), ", expected BFloat16 ",
        sizes, ", contiguous");
    return static_cast<const uint16_t*>(x.const_data_ptr());
  }
  template <typename T>
  const T* index(int id, at::IntArrayRef sizes) const {
    const at::Tensor& x = value(id);
    TORCH_CHECK(x.scalar_type() == c10::CppTypeToScalarType<T>::value && x.sizes() == sizes &&
                    x.is_contiguous(),
                "decode_stages: found ", x.scalar_type(), " ", x.sizes(), ", expected ",
                c10::CppTypeToScalarType<T>::value, " ", sizes, ", contiguous");
    return x.const_data_ptr<T>();
  }
  // Where a value goes: null unless somebody wants it.
  uint16_t* wanted(int id, at::IntArrayRef sizes) {
    const auto& results = list_.results;
    if (id == kNoValue || std::find(results.begin(), results.end(), id) == results.end()) {
      return nullptr;
    }
    step_.is_observed = true;
    return static_cast<uint16_t*>(make(id, sizes, at::kBFloat16));
  }
  // Where a value goes.
  void* make(int id, at::IntArrayRef sizes, at::ScalarType dtype) {
    const auto options = value(list_.operands[1]).options().dtype(dtype);
    return (made_[id] = at::empty(sizes, options)).mutable_data_ptr();
  }

  // Sizes, and what all layers share.
  void fill_inputs(const EmbedStage& embed, const AttentionStage& attention) {
    const at::Tensor& table = value(embed.weight);
    const at::Tensor& cache = value(attention.k_cache);
    const int64_t tokens = value(embed.ids).numel();
    step_.all_tokens = static_cast<int>(tokens);
    step_.tokens = static_cast<int>(std::min<int64_t>(tokens, kDecodeTokens));
    step_.hidden = static_cast<int>(table.size(1));
    step_.kv_heads = static_cast<int>(cache.size(2));
    step_.head_dim = static_cast<int>(cache.size(3));
    step_.heads = static_cast<int>(list_.widths.attention / cache.size(3));
    step_.inner = static_cast<int>(list_.widths.inner);
    step_.scale = static_cast<float>(attention.scale);
    step_.ids = index<int64_t>(embed.ids, {1, tokens});
    step_.positions = index<int64_t>(attention.positions, {1, tokens});
    step_.slots = index<int64_t>(attention.slots, {tokens});
    step_.table_width = value(attention.block_table).size(1);
    step_.block_table = index<int32_t>(attention.block_table, {tokens, step_.table_width});
    step_.cu_seqlens = index<int32_t>(attention.cu_seqlens, {tokens + 1});
    step_.seq_lens = index<int32_t>(attention.seq_lens, {tokens});
    step_.pages = cache.size(0);
    step_.page_rows = cache.size(1);
    step_.turns = value(attention.cos).size(0);
    step_.cos = index<float>(attention.cos, {step_.turns, cache.size(3) / 2});
    step_.sin = index<float>(attention.sin, {step_.turns, cache.size(3) / 2});
    step_.embedding_rows = table.size(0);
    step_.embedding = weight(embed.weight, table.sizes());
    step_.embedded = wanted(embed.out, {1, tokens, step_.hidden});
  }

  // A layer's stages work on each other's values, and all layers' on the same inputs.
  void check_flow(const ColumnsStage& qkv, const AttentionStage& attention, const RowsStage& wo,
                  const ColumnsStage& gated, const RowsStage& down, int x) const {
    const auto& first = std::get<AttentionStage>(list_.stages[2]);
    const bool flows =
        qkv.x == x && qkv.projections.size() == 3 && qkv.product == kNoValue &&
        attention.queries.x == qkv.projections[0].out &&
        attention.keys.x == qkv.projections[1].out && attention.v == qkv.projections[2].out &&
        wo.x == attention.out && wo.residual == x && gated.x == wo.sum &&
        gated.product != kNoValue && down.x == gated.product && down.residual == wo.sum &&
        attention.positions == first.positions && attention.slots == first.slots &&
        attention.block_table == first.block_table && attention.cu_seqlens == first.cu_seqlens &&
        attention.seq_lens == first.seq_lens && attention.cos == first.cos &&
        attention.sin == first.sin && attention.scale == first.scale;
    TORCH_CHECK_NOT_IMPLEMENTED(flows, "decode_stages on a card: found stages of a layer that do ",
                                "not follow each other, expected a decoder's layer");
    const int64_t k[] = {wo.slice * kSlices, down.slice * kSlices};
    TORCH_CHECK_NOT_IMPLEMENTED(
        k[0] == list_.widths.attention && k[1] == list_.widths.inner,
        "decode_stages on a card: found slices of ", wo.slice, " and ", down.slice,
        ", expected eighths of ", list_.widths.attention, " and ", list_.widths.inner);
  }

  // Returns the layer's result.
  int fill_layer(int l, int x) {
    const size_t begin = 1 + 5 * static_cast<size_t>(l);
    const auto& qkv = stage<ColumnsStage>(begin, "columns");
    const auto& attention = stage<AttentionStage>(begin + 1, "attention");
    const auto& wo = stage<RowsStage>(begin + 2, "rows");
    const auto& gated = stage<ColumnsStage>(begin + 3, "columns");
    const auto& down = stage<RowsStage>(begin + 4, "rows");
    check_flow(qkv, attention, wo, gated, down, x);
    fill_weights(step_.layer[l], qkv, attention, wo, gated, down);
    fill_outputs(step_.outputs[l], qkv, attention, wo, gated, down);
    return down.sum;
  }

  void fill_weights(DecodeLayer& to, const ColumnsStage& qkv, const AttentionStage& attention,
                    const RowsStage& wo, const ColumnsStage& gated, const RowsStage& down) {
    const int64_t hidden = step_.hidden;
    const int64_t q = int64_t{step_.heads} * step_.head_dim;
    const int64_t kv = int64_t{step_.kv_heads} * step_.head_dim;
    to.attention_norm = weight(qkv.norm, {hidden});
    to.wq = weight(qkv.projections[0].weight, {q, hidden});
    to.wk = weight(qkv.projections[1].weight, {kv, hidden});
    to.wv = weight(qkv.projections[2].weight, {kv, hidden});
    to.q_norm = weight(attention.queries.norm, {step_.head_dim});
    to.k_norm = weight(attention.keys.norm, {step_.head_dim});
    to.wo = weight(wo.weight, {hidden, q});
    to.ffn_norm = weight(gated.norm, {hidden});
    to.gate = weight(gated.projections[0].weight, {step_.inner, hidden});
    to.up = weight(gated.projections[1].weight, {step_.inner, hidden});
    to.down = weight(down.weight, {hidden, step_.inner});
    const at::IntArrayRef cache = value(attention.k_cache).sizes();
    to.k_cache = const_cast<uint16_t*>(weight(attention.k_cache, cache));
    to.v_cache = const_cast<uint16_t*>(weight(attention.v_cache, cache));
    to.attention_eps = static_cast<float>(qkv.eps);
    to.q_eps = static_cast<float>(attention.queries.eps);
    to.k_eps = static_cast<float>(attention.keys.eps);
    to.ffn_eps = static_cast<float>(gated.eps);
  }

  void fill_outputs(DecodeOutputs& to, const ColumnsStage& qkv, const AttentionStage& attention,
                    const RowsStage& wo, const ColumnsStage& gated, const RowsStage& down) {
    const int64_t tokens = step_.all_tokens;
    const std::vector<int64_t> hidden{1, tokens, step_.hidden};
    const std::vector<int64_t> q{1, tokens, int64_t{step_.heads} * step_.head_dim};
    const std::vector<int64_t> kv{1, tokens, int64_t{step_.kv_heads} * step_.head_dim};
    const std::vector<int64_t> q_heads{1, tokens, step_.heads, step_.head_dim};
    const std::vector<int64_t> kv_heads{1, tokens, step_.kv_heads, step_.head_dim};
    const std::vector<int64_t> inner{1, tokens, step_.inner};
    to.attention_norm = wanted(qkv.normed, hidden);
    to.q = wanted(qkv.projections[0].out, q);
    to.k = wanted(qkv.projections[1].out, kv);
    to.v = wanted(qkv.projections[2].out, kv);
    to.q_norm = wanted(attention.queries.normed, q_heads);
    to.q_rope = wanted(attention.queries.rotated, q_heads);
    to.k_norm = wanted(attention.keys.normed, kv_heads);
    to.k_rope = wanted(attention.keys.rotated, kv_heads);
    to.attention = wanted(attention.out, q_heads);
    to.wo = wanted(wo.rounded, hidden);
    to.attention_sum = wanted(wo.sum, hidden);
    to.ffn_norm = wanted(gated.normed, hidden);
    to.gate = wanted(gated.projections[0].out, inner);
    to.up = wanted(gated.projections[1].out, inner);
    to.product = wanted(gated.product, inner);
    to.down = wanted(down.rounded, hidden);
    to.ffn_sum = wanted(down.sum, hidden);
  }

  void fill_head(size_t place, int x, bool is_drawn) {
    const auto& head = stage<ColumnsStage>(place, "columns");
    TORCH_CHECK_NOT_IMPLEMENTED(
        head.x == x && head.rows != kNoValue && head.projections.size() == 1,
        "decode_stages on a card: the head is not a norm, rows of it and one product");
    const int64_t tokens = step_.all_tokens;
    const int64_t rows = value(head.projections[0].weight).size(0);
    step_.head_rows = static_cast<int>(rows);
    step_.final_eps = static_cast<float>(head.eps);
    step_.final_norm = weight(head.norm, {step_.hidden});
    step_.head = weight(head.projections[0].weight, {rows, step_.hidden});
    step_.rows = index<int64_t>(head.rows, {tokens});
    step_.final_value = wanted(head.normed, {1, tokens, step_.hidden});
    step_.final_taken = wanted(head.taken, {1, tokens, step_.hidden});
    const int logits = head.projections[0].out;
    const auto& results = list_.results;
    TORCH_CHECK_NOT_IMPLEMENTED(
        is_drawn || std::find(results.begin(), results.end(), logits) != results.end(),
        "decode_stages on a card: nobody wants the logits");
    step_.logits = static_cast<uint16_t*>(make(logits, {1, tokens, rows}, at::kBFloat16));
  }

  void fill_sample(const SampleStage& sample) {
    const int64_t tokens = step_.all_tokens;
    const auto& head = std::get<ColumnsStage>(list_.stages[list_.stages.size() - 2]);
    TORCH_CHECK_NOT_IMPLEMENTED(
        sample.x == head.projections[0].out && sample.vocab >= 1 && sample.vocab <= step_.head_rows,
        "decode_stages on a card: tokens are not drawn from the head's logits");
    step_.vocab = sample.vocab;
    step_.keys = index<int64_t>(sample.keys, {tokens, 2});
    step_.seed = static_cast<uint64_t>(sample.seed);
    step_.temperature = static_cast<float>(sample.temperature);
    step_.token = static_cast<int64_t*>(make(sample.token, {tokens}, at::kLong));
    step_.logprob = static_cast<float*>(make(sample.logprob, {tokens}, at::kFloat));
  }

  static constexpr int64_t kSlices = 8;

  const StageList& list_;
  std::map<int, at::Tensor> values_;
  std::map<int, at::Tensor> made_;
  PersistentStep step_{};
};

// The step's tokens from `first` on.
PersistentStep group_of(const PersistentStep& whole, int first) {
  PersistentStep step = whole;
  step.first = first;
  step.tokens = std::min(whole.all_tokens - first, kDecodeTokens);
  for (const int64_t** each : {&step.ids, &step.positions, &step.slots, &step.rows}) *each += first;
  const auto shift = [first](uint16_t*& pointer, int64_t width) {
    if (pointer != nullptr) pointer += first * width;
  };
  shift(step.logits, step.head_rows);
  if (step.token != nullptr) {
    step.keys += int64_t{2} * first;
    step.token += first;
    step.logprob += first;
  }
  for (uint16_t** each : {&step.embedded, &step.final_value, &step.final_taken}) {
    shift(*each, step.hidden);
  }
  const int64_t q = int64_t{step.heads} * step.head_dim;
  const int64_t kv = int64_t{step.kv_heads} * step.head_dim;
  for (DecodeOutputs& to : step.outputs) {
    for (uint16_t** each :
         {&to.attention_norm, &to.wo, &to.attention_sum, &to.ffn_norm, &to.down, &to.ffn_sum}) {
      shift(*each, step.hidden);
    }
    for (uint16_t** each : {&to.q, &to.q_norm, &to.q_rope, &to.attention}) shift(*each, q);
    for (uint16_t** each : {&to.k, &to.v, &to.k_norm, &to.k_rope}) shift(*each, kv);
    for (uint16_t** each : {&to.gate, &to.up, &to.product}) shift(*each, step.inner);
  }
  return step;
}

Tensors decode_stages(at::TensorList operands, at::TensorList caches, const at::Tensor& progress,
                      const at::Tensor& exchanges, const c10::intrusive_ptr<StageList>& stages) {
  const c10::cuda::CUDAGuard device(progress.device());
  const CardStep card(*stages, operands.vec(), caches.vec(), progress, exchanges);
  // More tokens than fit are computed in groups, each of which reads all weights.
  for (int first = 0; first < card.step().all_tokens; first += kDecodeTokens) {
    C10_CUDA_CHECK(
        cuda::decode_step(group_of(card.step(), first), at::cuda::getCurrentCUDAStream()));
  }
  return card.results();
}

TORCH_LIBRARY_IMPL(samebits, CUDA, m) {
  register_stage_list_class();  // files are initialised in any order
  m.impl("decode_stages", decode_stages);
}

}  // namespace
}  // namespace samebits
