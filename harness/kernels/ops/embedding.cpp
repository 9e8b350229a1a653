#include "harness/kernels/embedding.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/gradient.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas embedding_shapes(Args args) {
  const auto& weight = args[1].toTensor();
  check_rank("embedding", "weight", weight, 2);
  auto sizes = sym_sizes_of(args[0].toTensor());
  sizes.push_back(weight.sym_size(1));
  return {{std::move(sizes), weight.scalar_type()}};
}

Metas embedding_wgrad_shapes(Args args) {
  const auto& dy = args[0].toTensor();
  const auto& weight = args[2].toTensor();
  check_at_least_1d("embedding_wgrad", "dy", dy);
  check_rank("embedding_wgrad", "weight", weight, 2);
  check_same_sizes("embedding_wgrad", "a leading size of dy", leading(dy),
                   args[1].toTensor().sym_sizes());
  check_equal("embedding_wgrad", "the last size of dy", dy.sym_size(-1), weight.sym_size(1));
  return {like(weight)};
}

struct Embedding : Function<Embedding> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& ids, const at::Tensor& weight,
                            int64_t first_row) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    ctx->saved_data["first_row"] = first_row;
    ctx->save_for_backward({ids, weight});
    return ops::embedding(ids, weight, first_row);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("embedding");
    if (!grads[0].defined()) return {{}, {}, {}};
    const auto saved = ctx->get_saved_variables();
    const int64_t first_row = ctx->saved_data["first_row"].toInt();
    return {{}, ops::embedding_wgrad(grads[0], saved[0], saved[1], first_row), {}};
  }
};

at::Tensor embedding_with_gradient(const at::Tensor& ids, const at::Tensor& weight,
                                   int64_t first_row) {
  return Embedding::apply(ids, weight, first_row);
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // embedding.h: ids int64 [1, T], weight [rows, C] -> [1, T, C]. `first_row` is the id of the
  // weight's first row; ids outside give rows of -0, the identity of addition.
  define(m, "embedding(Tensor ids, Tensor weight, int first_row) -> Tensor", embedding_shapes,
         {.is_replayable = true}, embedding_with_gradient);
  define(m, "embedding_wgrad(Tensor dy, Tensor ids, Tensor weight, int first_row) -> Tensor",
         embedding_wgrad_shapes);
}

}  // namespace

at::Tensor ops::embedding(const at::Tensor& ids, const at::Tensor& weight, int64_t first_row) {
  static const Operator<decltype(embedding)> op("samebits::embedding");
  return op(ids, weight, first_row);
}

at::Tensor ops::embedding_wgrad(const at::Tensor& dy, const at::Tensor& ids,
                                const at::Tensor& weight, int64_t first_row) {
  static const Operator<decltype(embedding_wgrad)> op("samebits::embedding_wgrad");
  return op(dy, ids, weight, first_row);
}

}  // namespace samebits
