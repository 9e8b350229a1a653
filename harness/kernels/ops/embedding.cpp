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
  const auto& sum = args[4].toTensor();
  check_at_least_1d("embedding_wgrad_", "dy", dy);
  check_rank("embedding_wgrad_", "sum", sum, 2);
  check_same_sizes("embedding_wgrad_", "a leading size of dy", leading(dy),
                   args[1].toTensor().sym_sizes());
  check_sum("embedding_wgrad_", args[4], {sum.sym_size(0), dy.sym_size(-1)});
  return {};
}

Metas tied_wgrad_shapes(Args args) {
  const auto& dy = args[0].toTensor();
  const auto& dlogits = args[4].toTensor();
  const auto& h = args[5].toTensor();
  check_at_least_1d("tied_wgrad_", "dy", dy);
  check_at_least_1d("tied_wgrad_", "dlogits", dlogits);
  check_at_least_1d("tied_wgrad_", "h", h);
  check_same_sizes("tied_wgrad_", "a leading size of dy", leading(dy),
                   args[1].toTensor().sym_sizes());
  check_same_sizes("tied_wgrad_", "a leading size of dlogits", leading(dlogits), leading(h));
  check_equal("tied_wgrad_", "the last size of dy", dy.sym_size(-1), h.sym_size(-1));
  for (const size_t sum : {7, 8}) {
    check_sum("tied_wgrad_", args[sum], {dlogits.sym_size(-1), h.sym_size(-1)});
  }
  return {};
}

struct Embedding : Function<Embedding> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& ids, const at::Tensor& weight,
                            int64_t first_row, const WeightGradient& into) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->set_materialize_grads(false);
    save(ctx, into);
    ctx->saved_data["first_row"] = first_row;
    ctx->save_for_backward({ids, weight});
    return ops::embedding(ids, weight, first_row);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("embedding");
    if (!grads[0].defined()) return variable_list(4);
    const auto saved = ctx->get_saved_variables();
    const int64_t first_row = ctx->saved_data["first_row"].toInt();
    const c10::IValue head = ctx->saved_data["tied"];
    const auto add = [&](const std::optional<at::Tensor>& starts, const at::Tensor& sum) {
      if (head.isNone()) return ops::embedding_wgrad_(grads[0], saved[0], first_row, starts, sum);
      const std::vector<at::Tensor> left = head.toTensorVector();
      TORCH_CHECK(left.size() == 4, "embedding: found no gradient of the head that it is tied to");
      // h's history leads back to this node, which would own itself.
      head.toTensorList().clear();
      ops::tied_wgrad_(grads[0], saved[0], first_row, *starts, /*dlogits=*/left[0], /*h=*/left[1],
                       /*row_starts=*/left[2], sum, /*head_sum=*/left[3]);
    };
    return {{}, weight_gradient(ctx, saved[1], add), {}, {}};
  }
};

at::Tensor embedding_with_gradient(const at::Tensor& ids, const at::Tensor& weight,
                                   int64_t first_row) {
  return Embedding::apply(ids, weight, first_row, WeightGradient());
}

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // embedding.h: ids int64 [1, T], weight [rows, C] -> [1, T, C]. `first_row` is the id of the
  // weight's first row; ids outside give rows of -0, the identity of addition.
  define(m, "embedding(Tensor ids, Tensor weight, int first_row) -> Tensor", embedding_shapes,
         {.is_replayable = true}, embedding_with_gradient);
  // Adds to sum float32 [rows, C]; `starts` as in step_gradient.h.
  define(m,
         "embedding_wgrad_(Tensor dy, Tensor ids, int first_row, Tensor? starts, Tensor(a!) sum) "
         "-> ()",
         embedding_wgrad_shapes, {.is_replayable = true});
  // Of a weight that is the head, too: dlogits [..., rows], h [..., C].
  define(m,
         "tied_wgrad_(Tensor dy, Tensor ids, int first_row, Tensor starts, Tensor dlogits, "
         "Tensor h, Tensor row_starts, Tensor(a!) sum, Tensor(b!) head_sum) -> ()",
         tied_wgrad_shapes, {.is_replayable = true});
}

}  // namespace

at::Tensor ops::embedding(const at::Tensor& ids, const at::Tensor& weight, int64_t first_row) {
  static const Operator<at::Tensor(const at::Tensor&, const at::Tensor&, int64_t)> op(
      "samebits::embedding");
  return op(ids, weight, first_row);
}

void ops::embedding_wgrad_(const at::Tensor& dy, const at::Tensor& ids, int64_t first_row,
                           const std::optional<at::Tensor>& starts, const at::Tensor& sum) {
  static const Operator<decltype(embedding_wgrad_)> op("samebits::embedding_wgrad_");
  op(dy, ids, first_row, starts, sum);
}

void ops::tied_wgrad_(const at::Tensor& dy, const at::Tensor& ids, int64_t first_row,
                      const at::Tensor& starts, const at::Tensor& dlogits, const at::Tensor& h,
                      const at::Tensor& row_starts, const at::Tensor& sum,
                      const at::Tensor& head_sum) {
  static const Operator<decltype(tied_wgrad_)> op("samebits::tied_wgrad_");
  op(dy, ids, first_row, starts, dlogits, h, row_starts, sum, head_sum);
}

at::Tensor ops::embedding(const at::Tensor& ids, const at::Tensor& weight, int64_t first_row,
                          const WeightGradient& into) {
  if (!into.sum.defined()) return ops::embedding(ids, weight, first_row);
  return Embedding::apply(ids, weight, first_row, into);
}

}  // namespace samebits
