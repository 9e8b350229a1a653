#include "repro/split_kv_depends_on_batch/repro.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>

#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

constexpr int64_t kProcessors = 132;
constexpr int64_t kKeyBlock = 128;    // a part is of whole blocks
constexpr int64_t kFixedSplit = 256;  // keys

int64_t keys_of_split(KvSplits splits, int64_t sequences, int64_t heads, int64_t keys) {
  if (splits == KvSplits::kOfOneSize) return kFixedSplit;
  const int64_t blocks = (keys + kKeyBlock - 1) / kKeyBlock;
  const int64_t parts = std::clamp<int64_t>(kProcessors / (sequences * heads), 1, blocks);
  return (blocks + parts - 1) / parts * kKeyBlock;
}

// The softmax of some keys: its maximum and sum [H, 1, 1], and the sum of values [H, 1, D].
struct PartialSoftmax {
  at::Tensor max;
  at::Tensor sum;
  at::Tensor values;
};

PartialSoftmax attend_to(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const at::Tensor scores = at::bmm(q, k.transpose(1, 2));
  const at::Tensor max = std::get<0>(scores.max(-1, /*keepdim=*/true));
  const at::Tensor weights = scores.sub(max).exp();
  // The product with the values takes bfloat16, as a tensor core does. What is rounded there is
  // relative to the maximum of the part, so other parts round otherwise.
  const at::Tensor rounded = weights.to(at::kBFloat16).to(at::kFloat);
  return {max, weights.sum(-1, /*keepdim=*/true), at::bmm(rounded, v)};
}

PartialSoftmax merged(const PartialSoftmax& a, const PartialSoftmax& b) {
  const at::Tensor max = at::maximum(a.max, b.max);
  const at::Tensor of_a = a.max.sub(max).exp();
  const at::Tensor of_b = b.max.sub(max).exp();
  return {max, a.sum.mul(of_a).add(b.sum.mul(of_b)), a.values.mul(of_a).add(b.values.mul(of_b))};
}

// One sequence, so that no product's shape depends on how many there are: q [H, 1, D] in float32.
at::Tensor attend_in_splits(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            int64_t split) {
  const int64_t keys = k.size(1);
  std::optional<PartialSoftmax> whole;
  for (int64_t first = 0; first < keys; first += split) {
    const auto part = [&](const at::Tensor& x) {
      return x.narrow(1, first, std::min(split, keys - first));
    };
    const PartialSoftmax next = attend_to(q, part(k), part(v));
    whole = whole ? merged(*whole, next) : next;
  }
  return whole->values.div(whole->sum);
}

at::Tensor libtorch_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const int64_t sequences = q.size(0);
  const auto shared = [&](const at::Tensor& x) {
    return x.transpose(0, 1).unsqueeze(0).expand({sequences, -1, -1, -1});
  };
  return std::get<0>(at::_scaled_dot_product_flash_attention(q.unsqueeze(2), shared(k), shared(v)))
      .squeeze(2);
}

at::Tensor decode_kernel(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         int64_t splits) {
  const auto chosen = static_cast<KvSplits>(splits);
  if (chosen == KvSplits::kOfLibTorch) return libtorch_attention(q, k, v).contiguous();
  const int64_t split = keys_of_split(chosen, q.size(0), q.size(1), k.size(0));
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(2)));
  const auto by_head = [](const at::Tensor& x) {
    return x.to(at::kFloat).transpose(0, 1).contiguous();
  };
  const at::Tensor keys = by_head(k);
  const at::Tensor values = by_head(v);
  std::vector<at::Tensor> outputs;
  for (const at::Tensor& query : q.to(at::kFloat).mul(scale).unsqueeze(2).unbind(0)) {
    outputs.push_back(attend_in_splits(query, keys, values, split).squeeze(1));
  }
  return at::stack(outputs).to(q.scalar_type());
}

std::vector<TensorMeta> like_query(c10::ArrayRef<c10::IValue> args) {
  const at::Tensor& q = args[0].toTensor();
  return {{q.sym_sizes().vec(), q.scalar_type()}};
}

TORCH_LIBRARY_FRAGMENT(samebits_repro, m) {
  m.def("decode_attention(Tensor q, Tensor k, Tensor v, int splits) -> Tensor");
}
TORCH_LIBRARY_IMPL(samebits_repro, CPU, m) { m.impl("decode_attention", decode_kernel); }
TORCH_LIBRARY_IMPL(samebits_repro, CUDA, m) { m.impl("decode_attention", decode_kernel); }

SAMEBITS_SHAPE_RULE("samebits_repro::decode_attention", like_query);

at::Tensor decode_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            KvSplits splits) {
  return c10::Dispatcher::singleton()
      .findSchemaOrThrow("samebits_repro::decode_attention", "")
      .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t)>()
      .call(q, k, v, static_cast<int64_t>(splits));
}

}  // namespace

Subject decode_over_splits(KvSplits splits, const DecodeShape& shape, c10::Device device) {
  at::Generator generator = at::detail::createCPUGenerator(/*seed_val=*/7);
  const auto numbers = [&](int64_t rows) {
    return at::randn({rows, shape.heads, shape.dim}, generator).to(at::kBFloat16).to(device);
  };
  const at::Tensor k = numbers(shape.keys);
  const at::Tensor v = numbers(shape.keys);
  const at::Tensor queries =
      numbers(*std::max_element(shape.sequences.begin(), shape.sequences.end()));
  Subject subject;
  subject.program = [=](const std::vector<at::Tensor>& in) {
    return std::vector<at::Tensor>{decode_attention(in[0], k, v, splits)};
  };
  subject.dims = {{0, 0, "sequences", 1}};
  subject.inputs = [queries](int64_t size) {
    return std::vector<at::Tensor>{queries.narrow(0, 0, size).contiguous()};
  };
  subject.hint = 8;
  subject.sizes = shape.sequences;
  subject.rows_dim = 0;
  return subject;
}

Repro split_kv_depends_on_batch() {
  return {"split_kv_depends_on_batch",
          "decode attention cuts the keys into fewer parts when there are more sequences",
          /*is_silent=*/true,
          /*symptom=*/"row 0 of 1 has ",
          {"https://github.com/Dao-AILab/flash-attention/issues/1897",
           "https://github.com/Dao-AILab/flash-attention/issues/609",
           "https://github.com/Dao-AILab/flash-attention/issues/2450",
           "https://github.com/vllm-project/vllm/issues/58131",
           "https://github.com/deepseek-ai/FlashMLA/issues/212",
           "https://github.com/vllm-project/flash-attention/issues/176"},
          [](Side side) {
            return decode_over_splits(
                side == Side::kBuggy ? KvSplits::kByOccupancy : KvSplits::kOfOneSize,
                {/*keys=*/2048, /*heads=*/4, /*dim=*/32, {1, 2, 8, 33, 64}});
          },
          /*also=*/{},
          OnCard{/*symptom=*/"row 0 of 1 has ",
                 [](Side side) {
                   return decode_over_splits(
                       side == Side::kBuggy ? KvSplits::kOfLibTorch : KvSplits::kOfOneSize,
                       {/*keys=*/4096, /*heads=*/8, /*dim=*/128, {1, 2, 8, 33, 64}}, c10::kCUDA);
                 },
                 run_rows},
          run_rows};
}
SAMEBITS_REPRO(split_kv_depends_on_batch);

}  // namespace samebits
