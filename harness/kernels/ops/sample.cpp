#include "harness/kernels/sample.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas sample_shapes(Args args) {
  const auto& logits = args[0].toTensor();
  const auto& keys = args[1].toTensor();
  check_rank("sample", "logits", logits, 2);
  check_rank("sample", "keys", keys, 2);
  check_equal("sample", "the number of keys", keys.sym_size(0), logits.sym_size(0));
  check_equal("sample", "the last size of keys", keys.sym_size(1), 2);
  return {{{logits.sym_size(0)}, c10::kLong}, {{logits.sym_size(0)}, c10::kFloat}};
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // sample.h: logits [S, V], keys int64 [S, 2] (sequence, position) -> token int64 [S], logprob
  // float32 [S], under the logits as they are (temperature and filters choose, they do not score).
  define(m,
         "sample(Tensor logits, Tensor keys, int vocab, int seed, float temperature, int "
         "top_k, float top_p) -> (Tensor token, Tensor logprob)",
         sample_shapes, {.is_replayable = true});
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> ops::sample(const at::Tensor& logits, const at::Tensor& keys,
                                               int64_t vocab, int64_t seed, double temperature,
                                               int64_t top_k, double top_p) {
  static const Operator<decltype(sample)> op("samebits::sample");
  return op(logits, keys, vocab, seed, temperature, top_k, top_p);
}

}  // namespace samebits
