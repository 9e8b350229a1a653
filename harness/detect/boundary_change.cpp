// boundary_change: type, dtype, mesh and placement on both sides of an operator that hands its
// argument on, and the numbers that go into each operator in two programs of one model.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/detect/eager_calls.h"
#include "harness/detect/findings.h"
#include "harness/detect/handed_on.h"
#include "harness/dtensor/dtensor.h"
#include "harness/dtensor/propagate.h"

namespace samebits {
namespace {

bool on_two_meshes(const at::Tensor& a, const at::Tensor& b) {
  return is_dtensor(a) && is_dtensor(b) && spec_of(a).mesh != spec_of(b).mesh;
}

void compare_sides(const EagerCall& call, Findings& found) {
  const std::vector<at::Tensor> all_in = tensors_in(call.args);
  for (const at::Tensor& out : call.results) {
    if (!is_dangling(out, all_in)) continue;
    found.push_back(fmt::format("{}: {} comes out, which owns no memory and lies in no argument's",
                                call.name, kind_of(out)));
  }
  for (const at::Tensor& in : all_in) {
    for (const at::Tensor& out : call.results) {
      if (!is_handed_on(in, out)) continue;
      const bool moved = on_two_meshes(in, out);
      if (!moved && kind_of(in) == kind_of(out)) continue;
      found.push_back(fmt::format("{}: {} goes in, {}{} comes out", call.name, kind_of(in),
                                  kind_of(out), moved ? ", on another mesh" : ""));
    }
  }
}

// Whether an operator can be asked about any tensor: it takes one, and returns an alias of it.
bool takes_any_tensor(const c10::FunctionSchema& schema) {
  if (schema.arguments().size() != 1 || schema.returns().size() != 1) return false;
  const c10::AliasInfo* argument = schema.arguments()[0].alias_info();
  const c10::AliasInfo* result = schema.returns()[0].alias_info();
  return argument && result && !argument->isWrite() &&
         schema.arguments()[0].type()->isSubtypeOf(*c10::TensorType::get());
}

struct Probe {
  const char* what;
  at::Tensor tensor;
};

std::vector<Probe> probes(const c10::intrusive_ptr<DeviceMesh>& mesh) {
  const int64_t n = mesh->size();
  const auto numbers = [](int64_t rows) {
    return at::arange(rows * 8, at::kFloat).view({rows, 8});
  };
  const auto laid = [&](int64_t rows, Placement placement) {
    return distribute_tensor(numbers(rows), mesh, placement);
  };
  return {{"a plain tensor", numbers(4)},
          {"a view", numbers(6).narrow(0, 1, 3).narrow(1, 2, 4)},
          {"an empty tensor", at::empty({0, 1024})},
          {"a DTensor, S(0)", laid(2 * n + 1, Placement::shard(0))},
          {"a DTensor, R", laid(3, Placement::replicate())},
          {"a DTensor with an empty shard", laid(n - 1, Placement::shard(0))}};
}

void probe(const EagerCall& call, Findings& found) {
  const ArgPlacements placed = placements_of(call.args);
  for (const Probe& each : probes(placed.mesh ? placed.mesh : make_local_mesh(2))) {
    EagerCall asked{call.op, call.name, {each.tensor}, {}};
    try {
      torch::jit::Stack stack = asked.args;
      call.op.callBoxed(&stack);
      asked.results = tensors_in(stack);
    } catch (const c10::Error& error) {
      found.push_back(fmt::format("{} on {}: {}", call.name, each.what, first_line_of(error)));
    }
    compare_sides(asked, found);
  }
}

bool is_cast(const EagerCall& call) {
  return call.name == "aten::_to_copy" || call.name.starts_with("aten::to.");
}

std::vector<EagerCall> without_casts(std::vector<EagerCall> calls) {
  calls.erase(std::remove_if(calls.begin(), calls.end(), is_cast), calls.end());
  return calls;
}

bool same_numbers(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && at::equal(a.to(at::kDouble), b.to(at::kDouble));
}

bool fits_bfloat16(const at::Tensor& x) { return same_numbers(x, x.to(at::kBFloat16)); }

// Of the first call that takes other numbers than the reference's does, what they are. As far as
// both make the same calls; casts do not count.
void compare_with_reference(const Subject& subject, Findings& found) {
  const std::vector<at::Tensor> inputs = subject.inputs(subject.hint);
  const size_t before = found.size();
  const auto calls = without_casts(eager_calls(subject.program, inputs));
  const auto reference = without_casts(eager_calls(subject.reference, inputs));
  for (size_t i = 0; i < std::min(calls.size(), reference.size()); ++i) {
    if (calls[i].name != reference[i].name) return;
    for (size_t arg = 0; arg < calls[i].args.size(); ++arg) {
      if (!calls[i].args[arg].isTensor() || !reference[i].args[arg].isTensor()) continue;
      const at::Tensor& got = calls[i].args[arg].toTensor();
      const at::Tensor& expected = reference[i].args[arg].toTensor();
      if (same_numbers(got, expected)) continue;
      const bool was_rounded = fits_bfloat16(got) && !fits_bfloat16(expected);
      found.push_back(fmt::format(
          "{}: {} is {}, in the reference {}, {}", calls[i].name,
          calls[i].op.schema().arguments()[arg].name(), c10::toString(got.scalar_type()),
          c10::toString(expected.scalar_type()),
          was_rounded ? "and was rounded to bfloat16 on the way" : "with other values"));
    }
    if (found.size() != before) return;
  }
}

}  // namespace

Findings boundary_changes(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  Findings found;
  std::set<std::string> probed;
  for (const EagerCall& call : eager_calls(subject.program, subject.inputs(subject.hint))) {
    if (crosses_meshes(call)) continue;
    compare_sides(call, found);
    if (takes_any_tensor(call.op.schema()) && probed.insert(call.name).second) probe(call, found);
  }
  if (subject.reference) compare_with_reference(subject, found);
  return found;
}

}  // namespace samebits
