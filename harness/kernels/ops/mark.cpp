#include "harness/kernels/mark.h"

#include "harness/kernels/functional.h"
#include "harness/kernels/ops/operator.h"
#include "harness/kernels/ops/shapes.h"

namespace samebits {
namespace {

Metas mark_shapes(Args) { return {}; }

TORCH_LIBRARY_FRAGMENT(samebits, m) {
  // mark.h: names a value. Does nothing by itself; observe/ and capture/ listen to it.
  define(m, "mark(Tensor x, str site) -> ()", mark_shapes, {.is_replayable = true});
}

}  // namespace

void ops::mark(const at::Tensor& x, const std::string& site) {
  static const Operator<void(const at::Tensor&, c10::string_view)> op("samebits::mark");
  op(x, site);
}

}  // namespace samebits
