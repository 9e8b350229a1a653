#include "tests/capture/test_ops.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include "harness/kernels/shape_rule.h"

namespace samebits::test_ops {
namespace {

int runs = 0;

// ---- Kernels
// -------------------------------------------------------------------------------------
at::Tensor affine_kernel(const at::Tensor& x, const at::Tensor& w, double bias) {
  ++runs;
  return x * w + bias;
}
at::Tensor maybe_add_kernel(const at::Tensor& x, const std::optional<at::Tensor>& y) {
  ++runs;
  return y && y->defined() ? x + *y : x.clone();
}
at::Tensor repeat_rows_kernel(const at::Tensor& x, c10::SymInt times) {
  ++runs;
  return x.repeat({times.expect_int(), 1});
}
at::Tensor make_kernel(c10::SymIntArrayRef size, double value) {
  ++runs;
  return at::full(C10_AS_INTARRAYREF_SLOW(size), value);
}
std::vector<at::Tensor> halves_kernel(const at::Tensor& x) {
  ++runs;
  const int64_t half = x.size(0) / 2;
  return {x.narrow(0, 0, half).clone(), x.narrow(0, half, x.size(0) - half).clone()};
}
at::Tensor join_kernel(at::TensorList xs) {
  ++runs;
  return at::cat(xs);
}
at::Tensor& accumulate_kernel(at::Tensor& cache, const at::Tensor& x) {
  ++runs;
  return cache.add_(x.sum());
}
void store_kernel(const at::Tensor& cache, const at::Tensor& x) {
  ++runs;
  cache.narrow(0, 0, x.size(0)).copy_(x);
}
at::Tensor identity_kernel(const at::Tensor& x) {
  ++runs;
  return x.clone();
}

TORCH_LIBRARY(samebits_test, m) {
  m.def("affine(Tensor x, Tensor w, float bias=0.5) -> Tensor");
  m.def("maybe_add(Tensor x, Tensor? y=None) -> Tensor");
  m.def("repeat_rows(Tensor x, SymInt times) -> Tensor");
  m.def("make(SymInt[] size, float value) -> Tensor");
  m.def("halves(Tensor x) -> Tensor[]");
  m.def("join(Tensor[] xs) -> Tensor");
  m.def("accumulate_(Tensor(a!) cache, Tensor x) -> Tensor(a!)");
  m.def("store(Tensor(a!) cache, Tensor x) -> ()");
  m.def("demanding(Tensor x) -> Tensor");
  m.def("without_rule(Tensor x) -> Tensor");
}

TORCH_LIBRARY_IMPL(samebits_test, CompositeExplicitAutograd, m) {
  m.impl("affine", affine_kernel);
  m.impl("maybe_add", maybe_add_kernel);
  m.impl("repeat_rows", repeat_rows_kernel);
  m.impl("make", make_kernel);
  m.impl("halves", halves_kernel);
  m.impl("join", join_kernel);
  m.impl("accumulate_", accumulate_kernel);
  m.impl("store", store_kernel);
  m.impl("demanding", identity_kernel);
  m.impl("without_rule", identity_kernel);
}

// ---- Shape rules
// ---------------------------------------------------------------------------------
using Args = c10::ArrayRef<c10::IValue>;

TensorMeta like(const at::Tensor& x) { return {x.sym_sizes().vec(), x.scalar_type()}; }

TensorMeta with_rows(const at::Tensor& x, const c10::SymInt& rows) {
  TensorMeta meta = like(x);
  meta.sizes[0] = rows;
  return meta;
}

std::vector<TensorMeta> same_as_first(Args args) { return {like(args[0].toTensor())}; }

std::vector<TensorMeta> nothing(Args) { return {}; }

std::vector<TensorMeta> repeat_rows_rule(Args args) {
  const at::Tensor& x = args[0].toTensor();
  return {with_rows(x, x.sym_size(0) * args[1].toSymInt())};
}

std::vector<TensorMeta> make_rule(Args args) {
  return {{args[0].toSymIntVector(), c10::ScalarType::Float}};
}

std::vector<TensorMeta> halves_rule(Args args) {
  const at::Tensor& x = args[0].toTensor();
  const c10::SymInt half = x.sym_size(0) / 2;
  return {with_rows(x, half), with_rows(x, x.sym_size(0) - half)};
}

std::vector<TensorMeta> join_rule(Args args) {
  c10::SymInt rows = 0;
  for (const at::Tensor& x : args[0].toTensorVector()) rows = rows + x.sym_size(0);
  return {with_rows(args[0].toTensorVector()[0], rows)};
}

std::vector<TensorMeta> demanding_rule(Args args) {
  const c10::SymInt rows = args[0].toTensor().sym_size(0);
  TORCH_CHECK(rows.sym_ge(2).guard_bool(__FILE__, __LINE__), "demanding: fewer than two rows");
  return same_as_first(args);
}

SAMEBITS_SHAPE_RULE("samebits_test::affine", same_as_first);
SAMEBITS_SHAPE_RULE("samebits_test::maybe_add", same_as_first);
SAMEBITS_SHAPE_RULE("samebits_test::repeat_rows", repeat_rows_rule);
SAMEBITS_SHAPE_RULE("samebits_test::make", make_rule);
SAMEBITS_SHAPE_RULE("samebits_test::halves", halves_rule);
SAMEBITS_SHAPE_RULE("samebits_test::join", join_rule);
SAMEBITS_SHAPE_RULE("samebits_test::demanding", demanding_rule);
SAMEBITS_SHAPE_RULE("samebits_test::accumulate_", same_as_first);
SAMEBITS_SHAPE_RULE("samebits_test::store", nothing);

// ---- Calls
// ---------------------------------------------------------------------------------------
template <typename F>
c10::TypedOperatorHandle<F> typed(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<F>();
}

}  // namespace

int kernel_runs() { return runs; }

at::Tensor affine(const at::Tensor& x, const at::Tensor& w, double bias) {
  return typed<decltype(affine)>("samebits_test::affine").call(x, w, bias);
}
at::Tensor maybe_add(const at::Tensor& x, const std::optional<at::Tensor>& y) {
  return typed<decltype(maybe_add)>("samebits_test::maybe_add").call(x, y);
}
at::Tensor repeat_rows(const at::Tensor& x, c10::SymInt times) {
  return typed<decltype(repeat_rows)>("samebits_test::repeat_rows").call(x, std::move(times));
}
at::Tensor make(c10::SymIntArrayRef size, double value) {
  return typed<decltype(make)>("samebits_test::make").call(size, value);
}
std::vector<at::Tensor> halves(const at::Tensor& x) {
  return typed<decltype(halves)>("samebits_test::halves").call(x);
}
at::Tensor join(const std::vector<at::Tensor>& xs) {
  return typed<at::Tensor(at::TensorList)>("samebits_test::join").call(xs);
}
at::Tensor& accumulate_(at::Tensor& cache, const at::Tensor& x) {
  return typed<decltype(accumulate_)>("samebits_test::accumulate_").call(cache, x);
}
void store(const at::Tensor& cache, const at::Tensor& x) {
  typed<decltype(store)>("samebits_test::store").call(cache, x);
}
at::Tensor demanding(const at::Tensor& x) {
  return typed<decltype(demanding)>("samebits_test::demanding").call(x);
}
at::Tensor without_rule(const at::Tensor& x) {
  return typed<decltype(without_rule)>("samebits_test::without_rule").call(x);
}

}  // namespace samebits::test_ops
