#include "repro/weak_ref_tensor_on_dtensor/repro.h"

#include <ATen/ATen.h>

#include "harness/detect/handed_on.h"
#include "harness/dtensor/dtensor.h"
#include "harness/kernels/functional.h"
#include "repro/mechanisms/weak_ref.h"
#include "repro/weak_ref_op_unregistered/repro.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr int64_t kUnit = 1024;
constexpr int64_t kReferencedRanks = 2;

at::Tensor rows_of_numbers(int64_t rows) {
  return at::arange(rows * kUnit, at::kFloat).view({rows, kUnit});
}

Subject over_rows(Program program) {
  Subject subject;
  subject.program = std::move(program);
  subject.dims = {{0, 0, "s", 1}};
  subject.hint = 6;
  subject.sizes = sizes_to_try(kReferencedRanks);
  return subject;
}

Subject guarded(Side side, c10::Device device) {
  return weak_ref_subject(side == Side::kBuggy ? "no_guard" : "", /*on_mesh=*/true, device);
}

std::vector<Failure> other_failures() {
  return {{"no shape rule",
           "eager at 6: operator samebits_repro::weak_ref.no_shape_rule has no shape rule",
           [] { return weak_ref_subject("no_shape_rule", /*on_mesh=*/true); }},
          {"no sharding strategy",
           "eager at 6: operator samebits_repro::weak_ref.no_strategy has no sharding strategy",
           [] { return weak_ref_subject("no_strategy", /*on_mesh=*/true); }},
          {"no guard for empty shards",
           "served at 1: weak_ref: the pointer of a tensor of sizes [0, 1024] is null",
           [] { return weak_ref_subject("no_empty", /*on_mesh=*/true); }},
          {"the strategy of pointwise operators",
           "eager at 6: output 0: a DTensor, P(sum) over 2, Float goes in, a DTensor, R over 2, "
           "Float comes out, which owns no memory and lies in none of it",
           [] { return reference_handed_out("pointwise", Placement::partial()); }, run_handed_on},
          {"a fresh tensor in the schema and the shape rule",
           "traced at 6, served at 1: output 0 has other bits than eager's",
           [] { return read_around_a_write("undeclared_alias"); }, run_with_equal_calls_merged},
          {"the guard that was merged, alone",
           "eager at 6: output 0: a DTensor, S(0) over 2, Float goes in, a plain tensor, Float "
           "comes out",
           [] { return reference_handed_out("unwrap_only", Placement::shard(0)); }, run_handed_on}};
}

}  // namespace

Subject reference_handed_out(const std::string& overload, Placement placement) {
  const auto mesh = make_local_mesh(kReferencedRanks);
  Subject subject =
      over_rows([overload](const Tensors& in) { return Tensors{weak_ref(in[0], overload)}; });
  subject.inputs = [mesh, placement](int64_t size) {
    const at::Tensor whole = rows_of_numbers(size);
    if (!placement.is_partial()) return Tensors{distribute_tensor(whole, mesh, placement)};
    return Tensors{from_local({whole, whole.mul(2)}, mesh, placement)};
  };
  return subject;
}

Subject read_around_a_write(const std::string& overload) {
  const auto mesh = make_local_mesh(kReferencedRanks);
  Subject subject = over_rows([overload](const Tensors& in) {
    const at::Tensor x = in[0].clone();
    const at::Tensor reference = weak_ref(x, overload);
    const at::Tensor before = reference.mul(2);
    x.add_(1);
    return Tensors{reference.mul(2).sub(before), x};  // which keeps the memory until then
  });
  subject.inputs = [mesh](int64_t size) {
    return Tensors{distribute_tensor(rows_of_numbers(size), mesh, Placement::shard(0))};
  };
  return subject;
}

Subject buckets_of_units(HeldOutputs outputs) {
  Subject subject =
      over_rows([](const Tensors& in) { return Tensors{ops::residual_add(in[0], in[0])}; });
  subject.inputs = [](int64_t size) { return Tensors{rows_of_numbers(size)}; };
  subject.sizes = {4, 3, 2, 1};
  subject.outputs = outputs;
  return subject;
}

Repro weak_ref_tensor_on_dtensor() {
  return {"weak_ref_tensor_on_dtensor",
          "a weak reference is made from the pointer of a DTensor's wrapper, which owns no memory",
          /*is_silent=*/false,
          /*symptom=*/
          "eager at 6: weak_ref: the pointer of a tensor of sizes [6, 1024] is null and belongs to "
          "no storage",
          {"https://github.com/vllm-project/vllm/pull/9724",
           "https://github.com/pytorch/torchtitan/pull/2393",
           "https://github.com/pytorch/torchtitan/pull/2486",
           "https://github.com/NVIDIA/TransformerEngine/pull/1475"},
          [](Side side) { return guarded(side, c10::kCPU); },
          other_failures(),
          OnCard{"eager at 6: The specified pointer resides on host memory and is not registered "
                 "with any CUDA device.",
                 [](Side side) { return guarded(side, c10::kCUDA); }, run_subject},
          run_subject,
          {{"strong references", [] { return weak_ref_subject("strong", /*on_mesh=*/true); }}}};
}
SAMEBITS_REPRO(weak_ref_tensor_on_dtensor);

}  // namespace samebits
