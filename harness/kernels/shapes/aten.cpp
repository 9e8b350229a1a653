// Shape rules of the ATen operators that the model, its backward and the optimizer reach. Outputs
// are contiguous, views too. Sizes that must agree are compared once, as SymBool.

#include <ATen/native/TypeProperties.h>
#include <c10/core/SymBool.h>
#include <c10/core/WrapDimMinimal.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

using Args = c10::ArrayRef<c10::IValue>;
using Metas = std::vector<TensorMeta>;
using Sizes = std::vector<c10::SymInt>;

Sizes sizes_of(const at::Tensor& x) { return x.sym_sizes().vec(); }
const at::Tensor& tensor(Args args, size_t i) { return args[i].toTensor(); }

c10::ScalarType dtype_or(Args args, size_t i, c10::ScalarType otherwise) {
  return i < args.size() && !args[i].isNone() ? args[i].toScalarType() : otherwise;
}

bool is_integral(c10::ScalarType type) { return c10::isIntegralType(type, /*includeBool=*/true); }

// What true division and transcendental functions make of integers.
c10::ScalarType to_floating(c10::ScalarType type) {
  return is_integral(type) ? c10::get_default_dtype_as_scalartype() : type;
}

size_t wrap(const c10::IValue& dim, int64_t rank) {
  return static_cast<size_t>(c10::maybe_wrap_dim(dim.toInt(), rank));
}

bool is_static_one(const c10::SymInt& size) { return size.maybe_as_int() == int64_t{1}; }

// A symbolic size is not taken for 1: broadcasting of sizes is decided by the program's text.
Sizes broadcast(c10::SymIntArrayRef a, c10::SymIntArrayRef b) {
  if (a.size() < b.size()) std::swap(a, b);
  Sizes out = a.vec();
  const size_t shift = a.size() - b.size();
  for (size_t i = 0; i < b.size(); ++i) {
    c10::SymInt& size = out[shift + i];
    if (is_static_one(b[i])) continue;
    if (is_static_one(size)) {
      size = b[i];
      continue;
    }
    TORCH_SYM_CHECK(size.sym_eq(b[i]), "sizes ", a, " and ", b, " do not broadcast");
  }
  return out;
}

// The dtypes of a tensor and a tensor or number promote each other as ATen does.
c10::ScalarType promoted(const c10::IValue& a, const c10::IValue& b) {
  at::native::ResultTypeState state;
  for (const c10::IValue* operand : {&a, &b}) {
    state = operand->isTensor() ? at::native::update_result_type_state(operand->toTensor(), state)
                                : at::native::update_result_type_state(operand->toScalar(), state);
  }
  return at::native::result_type(state);
}

// ---- Elementwise -------------------------------------------------------------------------------

Metas same_as_first(Args args) {
  return {{sizes_of(tensor(args, 0)), tensor(args, 0).scalar_type()}};
}

// `kDtype`: the argument that may give the result's dtype.
template <size_t kDtype>
Metas like_first(Args args) {
  const auto& x = tensor(args, 0);
  return {{sizes_of(x), dtype_or(args, kDtype, x.scalar_type())}};
}

Metas floating_unary(Args args) {
  return {{sizes_of(tensor(args, 0)), to_floating(tensor(args, 0).scalar_type())}};
}

Metas binary(Args args) {
  return {{broadcast(tensor(args, 0).sym_sizes(), tensor(args, 1).sym_sizes()),
           promoted(args[0], args[1])}};
}

Metas true_divide(Args args) {
  return {{broadcast(tensor(args, 0).sym_sizes(), tensor(args, 1).sym_sizes()),
           to_floating(promoted(args[0], args[1]))}};
}

Metas with_scalar(Args args) { return {{sizes_of(tensor(args, 0)), promoted(args[0], args[1])}}; }

Metas divide_by_scalar(Args args) {
  return {{sizes_of(tensor(args, 0)), to_floating(promoted(args[0], args[1]))}};
}

// `kDtype`: the argument after the sizes that may give the dtype.
template <size_t kDtype>
Metas new_like(Args args) {
  return {{args[1].toSymIntVector(), dtype_or(args, kDtype, tensor(args, 0).scalar_type())}};
}

// ---- Views -------------------------------------------------------------------------------------

c10::SymInt product(c10::SymIntArrayRef sizes) {
  c10::SymInt result = 1;
  for (const c10::SymInt& size : sizes) result *= size;
  return result;
}

// One -1 stands for whatever is left.
Metas view(Args args) {
  const auto& x = tensor(args, 0);
  Sizes sizes = args[1].toSymIntVector();
  std::optional<size_t> inferred;
  c10::SymInt known = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i].maybe_as_int() == int64_t{-1}) {
      TORCH_CHECK(!inferred, "view: only one size may be -1, found ", c10::SymIntArrayRef(sizes));
      inferred = i;
    } else {
      known *= sizes[i];
    }
  }
  const c10::SymInt numel = product(x.sym_sizes());
  if (inferred) {
    TORCH_CHECK(known.maybe_as_int() != int64_t{0}, "view: the size for -1 is ambiguous in ",
                c10::SymIntArrayRef(sizes));
    sizes[*inferred] = numel / known;
    known *= sizes[*inferred];
  }
  TORCH_SYM_CHECK(known.sym_eq(numel), "view: sizes ", c10::SymIntArrayRef(sizes), " do not fit ",
                  x.sym_sizes());
  return {{std::move(sizes), x.scalar_type()}};
}

Metas expand(Args args) {
  const auto& x = tensor(args, 0);
  Sizes sizes = args[1].toSymIntVector();
  TORCH_CHECK(static_cast<int64_t>(sizes.size()) >= x.dim(), "expand: found ", sizes.size(),
              " sizes for a tensor of ", x.dim(), " dimensions");
  const size_t shift = sizes.size() - static_cast<size_t>(x.dim());
  for (size_t i = shift; i < sizes.size(); ++i) {
    const c10::SymInt& size = x.sym_sizes()[i - shift];
    if (sizes[i].maybe_as_int() == int64_t{-1}) sizes[i] = size;
    if (is_static_one(size)) continue;
    TORCH_SYM_CHECK(sizes[i].sym_eq(size), "expand: size ", sizes[i], " at dimension ", i,
                    ", expected ", size);
  }
  return {{std::move(sizes), x.scalar_type()}};
}

Metas transpose(Args args) {
  const auto& x = tensor(args, 0);
  Sizes sizes = sizes_of(x);
  if (!sizes.empty()) std::swap(sizes[wrap(args[1], x.dim())], sizes[wrap(args[2], x.dim())]);
  return {{std::move(sizes), x.scalar_type()}};
}

Metas t(Args args) {
  const auto& x = tensor(args, 0);
  TORCH_CHECK(x.dim() <= 2, "t: found ", x.dim(), " dimensions, expected at most 2");
  Sizes sizes = sizes_of(x);
  std::reverse(sizes.begin(), sizes.end());
  return {{std::move(sizes), x.scalar_type()}};
}

Metas permute(Args args) {
  const auto& x = tensor(args, 0);
  const auto dims = args[1].toIntVector();
  TORCH_CHECK(static_cast<int64_t>(dims.size()) == x.dim(), "permute: found ", dims.size(),
              " dimensions for a tensor of ", x.dim());
  Sizes sizes;
  for (const int64_t dim : dims) sizes.push_back(x.sym_size(c10::maybe_wrap_dim(dim, x.dim())));
  return {{std::move(sizes), x.scalar_type()}};
}

Metas unsqueeze(Args args) {
  const auto& x = tensor(args, 0);
  Sizes sizes = sizes_of(x);
  sizes.insert(sizes.begin() + static_cast<int64_t>(wrap(args[1], x.dim() + 1)), 1);
  return {{std::move(sizes), x.scalar_type()}};
}

Metas squeeze(Args args) {
  const auto& x = tensor(args, 0);
  Sizes sizes = sizes_of(x);
  const size_t dim = wrap(args[1], x.dim());
  if (!sizes.empty() && is_static_one(sizes[dim])) {
    sizes.erase(sizes.begin() + static_cast<int64_t>(dim));
  }
  return {{std::move(sizes), x.scalar_type()}};
}

// An end of a slice as an index: negative counts from the end, then clamped to [0, size].
c10::SymInt slice_bound(const c10::IValue& bound, const c10::SymInt& size, c10::SymInt otherwise) {
  if (bound.isNone()) return otherwise;
  c10::SymInt index = bound.toSymInt();
  const auto number = index.maybe_as_int();
  if (number && *number < 0) index += size;
  return index.max(0).min(size);
}

Metas slice(Args args) {
  const auto& x = tensor(args, 0);
  Sizes sizes = sizes_of(x);
  c10::SymInt& size = sizes[wrap(args[1], x.dim())];
  const c10::SymInt start = slice_bound(args[2], size, 0);
  const c10::SymInt end = slice_bound(args[3], size, size).max(start);
  const c10::SymInt step = args[4].toSymInt();
  size = step.maybe_as_int() == int64_t{1} ? end - start : (end - start + step - 1) / step;
  return {{std::move(sizes), x.scalar_type()}};
}

Metas select(Args args) {
  const auto& x = tensor(args, 0);
  Sizes sizes = sizes_of(x);
  const size_t dim = wrap(args[1], x.dim());
  sizes.erase(sizes.begin() + static_cast<int64_t>(dim));
  return {{std::move(sizes), x.scalar_type()}};
}

// grad, input_sizes, ...
Metas into_sizes(Args args) { return {{args[1].toSymIntVector(), tensor(args, 0).scalar_type()}}; }

Metas split(Args args) {
  const auto& x = tensor(args, 0);
  const size_t dim = wrap(args[2], x.dim());
  const int64_t size = x.sym_sizes()[dim].guard_int(__FILE__, __LINE__);
  const int64_t part = args[1].toSymInt().guard_int(__FILE__, __LINE__);
  TORCH_CHECK(part > 0 || size == 0, "split: found a split size of ", part);
  constexpr int64_t kMostParts = 1 << 20;  // a saved graph may ask for any number
  TORCH_CHECK(size == 0 || size / part < kMostParts, "split: found more than ", kMostParts, " parts");
  Metas metas;
  int64_t start = 0;
  do {
    Sizes sizes = sizes_of(x);
    sizes[dim] = std::min(part, size - start);
    metas.push_back({std::move(sizes), x.scalar_type()});
    start += part;
  } while (start < size);
  return metas;
}

Metas split_with_sizes(Args args) {
  const auto& x = tensor(args, 0);
  const size_t dim = wrap(args[2], x.dim());
  Metas metas;
  for (const c10::SymInt& part : args[1].toSymIntVector()) {
    Sizes sizes = sizes_of(x);
    sizes[dim] = part;
    metas.push_back({std::move(sizes), x.scalar_type()});
  }
  return metas;
}

// ---- Joining and picking -----------------------------------------------------------------------

c10::ScalarType common_dtype(const std::vector<at::Tensor>& tensors) {
  return at::native::result_type(at::ITensorListRef(tensors));
}

// Tensors of shape [0] are skipped, as ATen does.
Metas cat(Args args) {
  const std::vector<at::Tensor> tensors = args[0].toTensorVector();
  TORCH_CHECK(!tensors.empty(), "cat: found no tensors");
  const auto is_skipped = [](const at::Tensor& x) {
    return x.dim() == 1 && x.sym_size(0).maybe_as_int() == int64_t{0};
  };
  std::optional<Sizes> sizes;
  for (const at::Tensor& x : tensors) {
    if (is_skipped(x)) continue;
    if (!sizes) {
      sizes = sizes_of(x);
      continue;
    }
    const size_t dim = wrap(args[1], x.dim());
    TORCH_CHECK(sizes->size() == static_cast<size_t>(x.dim()),
                "cat: found tensors of different numbers of dimensions");
    for (size_t d = 0; d < sizes->size(); ++d) {
      if (d == dim) {
        (*sizes)[d] += x.sym_size(static_cast<int64_t>(d));
      } else {
        TORCH_SYM_CHECK((*sizes)[d].sym_eq(x.sym_sizes()[d]), "cat: size ", x.sym_sizes()[d],
                        " at dimension ", d, ", expected ", (*sizes)[d]);
      }
    }
  }
  return {{sizes.value_or(Sizes{0}), common_dtype(tensors)}};
}

Metas stack(Args args) {
  const std::vector<at::Tensor> tensors = args[0].toTensorVector();
  TORCH_CHECK(!tensors.empty(), "stack: found no tensors");
  Sizes sizes = sizes_of(tensors[0]);
  const size_t dim = wrap(args[1], tensors[0].dim() + 1);
  sizes.insert(sizes.begin() + static_cast<int64_t>(dim), static_cast<int64_t>(tensors.size()));
  return {{std::move(sizes), common_dtype(tensors)}};
}

Metas index_select(Args args) {
  const auto& x = tensor(args, 0);
  Sizes sizes = sizes_of(x);
  if (!sizes.empty()) sizes[wrap(args[1], x.dim())] = tensor(args, 2).sym_numel();
  return {{std::move(sizes), x.scalar_type()}};
}

Metas gather(Args args) { return {{sizes_of(tensor(args, 2)), tensor(args, 0).scalar_type()}}; }

// ---- Sums and products -------------------------------------------------------------------------

// Sums of integers are int64.
c10::ScalarType sum_dtype(const at::Tensor& x) {
  return is_integral(x.scalar_type()) ? c10::kLong : x.scalar_type();
}

Metas sum(Args args) { return {{{}, dtype_or(args, 1, sum_dtype(tensor(args, 0)))}}; }

Metas mean(Args args) { return {{{}, dtype_or(args, 1, tensor(args, 0).scalar_type())}}; }

Metas max(Args args) { return {{{}, tensor(args, 0).scalar_type()}}; }

// self, dim?, keepdim, dtype?
Sizes reduced_sizes(Args args) {
  const auto& x = tensor(args, 0);
  std::set<int64_t> dims;
  if (!args[1].isNone()) {
    for (const int64_t dim : args[1].toIntVector()) {
      dims.insert(c10::maybe_wrap_dim(dim, x.dim()));
    }
  }
  const bool all = dims.empty();
  Sizes sizes;
  for (int64_t d = 0; d < x.dim(); ++d) {
    if (!all && !dims.count(d)) {
      sizes.push_back(x.sym_size(d));
    } else if (args[2].toBool()) {
      sizes.push_back(1);
    }
  }
  return sizes;
}

Metas sum_dims(Args args) {
  return {{reduced_sizes(args), dtype_or(args, 3, sum_dtype(tensor(args, 0)))}};
}

Metas mean_dims(Args args) {
  return {{reduced_sizes(args), dtype_or(args, 3, tensor(args, 0).scalar_type())}};
}

// [..., in] by [out, in].
Metas linear(Args args) {
  const at::Tensor& x = tensor(args, 0);
  const at::Tensor& weight = tensor(args, 1);
  TORCH_CHECK(x.dim() >= 1 && weight.dim() == 2, "linear: found ", x.dim(), " and ", weight.dim(),
              " dimensions, expected one or more and two");
  TORCH_SYM_CHECK(x.sym_size(-1).sym_eq(weight.sym_size(1)), "linear: sizes ", x.sym_sizes(),
                  " and ", weight.sym_sizes(), " do not multiply");
  Sizes sizes = sizes_of(x);
  sizes.back() = weight.sym_size(0);
  return {{std::move(sizes), x.scalar_type()}};
}

Metas mm(Args args) {
  const auto& a = tensor(args, 0);
  const auto& b = tensor(args, 1);
  TORCH_CHECK(a.dim() == 2 && b.dim() == 2, "mm: found ", a.dim(), " and ", b.dim(),
              " dimensions, expected 2");
  TORCH_SYM_CHECK(a.sym_size(1).sym_eq(b.sym_size(0)), "mm: sizes ", a.sym_sizes(), " and ",
                  b.sym_sizes(), " do not meet");
  return {{{a.sym_size(0), b.sym_size(1)}, a.scalar_type()}};
}

// weight, indices, ...
Metas embedding(Args args) {
  const auto& weight = tensor(args, 0);
  Sizes sizes = sizes_of(tensor(args, 1));
  sizes.push_back(weight.sym_size(1));
  return {{std::move(sizes), weight.scalar_type()}};
}

// grad, indices, num_weights, ...
Metas embedding_backward(Args args) {
  const auto& grad = tensor(args, 0);
  return {{{args[2].toSymInt(), grad.sym_size(-1)}, grad.scalar_type()}};
}

// self, dim, half_to_float
Metas log_softmax(Args args) {
  const auto& x = tensor(args, 0);
  return {{sizes_of(x), args[2].toBool() ? c10::kFloat : x.scalar_type()}};
}

// The rows of one table: an operator and its rule.
struct Row {
  const char* op;
  ShapeRule rule;
};

constexpr Row kRules[] = {
    {"aten::abs", same_as_first},
    {"aten::alias", same_as_first},
    {"aten::clone", same_as_first},
    {"aten::detach", same_as_first},
    {"aten::neg", same_as_first},
    {"aten::silu", same_as_first},
    {"aten::silu_backward", same_as_first},
    {"aten::exp", floating_unary},
    {"aten::log", floating_unary},
    {"aten::rsqrt", floating_unary},
    {"aten::sigmoid", floating_unary},
    {"aten::sqrt", floating_unary},
    {"aten::_to_copy", like_first<1>},
    {"aten::empty_like", like_first<1>},
    {"aten::ones_like", like_first<1>},
    {"aten::zeros_like", like_first<1>},
    {"aten::full_like", like_first<2>},
    {"aten::new_empty", new_like<2>},
    {"aten::new_ones", new_like<2>},
    {"aten::new_zeros", new_like<2>},
    {"aten::new_empty_strided", new_like<3>},
    {"aten::new_full", new_like<3>},
    {"aten::add.Tensor", binary},
    {"aten::sub.Tensor", binary},
    {"aten::mul.Tensor", binary},
    {"aten::div.Tensor", true_divide},
    {"aten::add.Scalar", with_scalar},
    {"aten::sub.Scalar", with_scalar},
    {"aten::mul.Scalar", with_scalar},
    {"aten::pow.Tensor_Scalar", with_scalar},
    {"aten::div.Scalar", divide_by_scalar},
    {"aten::view", view},
    {"aten::reshape", view},
    {"aten::_reshape_alias", view},
    {"aten::_unsafe_view", view},
    {"aten::expand", expand},
    {"aten::transpose.int", transpose},
    {"aten::t", t},
    {"aten::permute", permute},
    {"aten::unsqueeze", unsqueeze},
    {"aten::squeeze.dim", squeeze},
    {"aten::slice.Tensor", slice},
    {"aten::slice_backward", into_sizes},
    {"aten::select.int", select},
    {"aten::select_backward", into_sizes},
    {"aten::split.Tensor", split},
    {"aten::split_with_sizes", split_with_sizes},
    {"aten::cat", cat},
    {"aten::stack", stack},
    {"aten::index_select", index_select},
    {"aten::index_add", same_as_first},
    {"aten::gather", gather},
    {"aten::sum", sum},
    {"aten::sum.dim_IntList", sum_dims},
    {"aten::max", max},
    {"aten::mean", mean},
    {"aten::mean.dim", mean_dims},
    {"aten::linear", linear},
    {"aten::mm", mm},
    {"aten::embedding", embedding},
    {"aten::embedding_dense_backward", embedding_backward},
    {"aten::_log_softmax", log_softmax},
};

const bool kRegistered = [] {
  for (const Row& row : kRules) register_shape_rule(row.op, row.rule);
  return true;
}();

}  // namespace
}  // namespace samebits
