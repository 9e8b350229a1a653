// registry: what is registered for the operators that a program calls, and whether it is true.

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "harness/detect/eager_calls.h"
#include "harness/detect/findings.h"
#include "harness/dispatch/schema.h"
#include "harness/dtensor/propagate.h"
#include "harness/kernels/shape_rule.h"

namespace samebits {
namespace {

bool is_alias_of_set(const c10::Argument& result, const c10::Argument& argument) {
  const c10::AliasInfo* of = argument.alias_info();
  const c10::AliasInfo* its = result.alias_info();
  if (!of || !its) return false;
  return std::any_of(its->beforeSets().begin(), its->beforeSets().end(),
                     [&](const c10::Symbol& set) { return of->beforeSets().count(set) != 0; });
}

// Whether they have a byte in common. By address: a tensor made from a pointer has a storage of its
// own.
bool overlap(const at::Tensor& a, const at::Tensor& b) {
  const auto begin = [](const at::Tensor& t) {
    return static_cast<const char*>(t.storage().data());
  };
  const auto end = [&](const at::Tensor& t) { return begin(t) + t.storage().nbytes(); };
  if (!a.has_storage() || !b.has_storage() || a.numel() == 0 || b.numel() == 0) return false;
  return begin(a) < end(b) && begin(b) < end(a);
}

bool share_memory(const at::Tensor& a, const at::Tensor& b) {
  for (const at::Tensor& x : parts_of(a)) {
    for (const at::Tensor& y : parts_of(b)) {
      if (overlap(x, y)) return true;
    }
  }
  return false;
}

std::string meta_text(c10::SymIntArrayRef sizes, c10::ScalarType dtype) {
  std::ostringstream text;
  text << dtype << ' ' << sizes;
  return text.str();
}

class RegistryCheck {
 public:
  explicit RegistryCheck(const EagerCall& call) : call_(call), schema_(call.op.schema()) {}

  Findings run() {
    check_kernel();
    check_strategy();
    check_shape_rule();
    check_aliases();
    return std::move(found_);
  }

 private:
  void say(const std::string& what) { found_.push_back(call_.name + ": " + what); }

  void check_kernel() {
    if (!call_.op.hasComputedKernelForDispatchKey(c10::DispatchKey::CPU)) say("no kernel");
  }

  void check_strategy() {
    if (placements_of(call_.args).mesh && !has_strategy(call_.name)) {
      say("no sharding strategy, called on a DTensor");
    }
  }

  // What it returns is written in place, or is no tensor: nothing to make a rule for.
  bool needs_shape_rule() const {
    return std::any_of(schema_.returns().begin(), schema_.returns().end(), [](const auto& result) {
      const bool is_tensor = result.type()->isSubtypeOf(*c10::TensorType::get()) ||
                             result.type()->isSubtypeOf(*c10::ListType::ofTensors());
      return is_tensor && !is_written(result);
    });
  }

  void check_shape_rule() {
    if (!needs_shape_rule()) return;
    if (!has_shape_rule(call_.name)) {
      say("no shape rule");
      return;
    }
    if (call_.results.empty()) return;  // the call failed
    std::vector<TensorMeta> metas;
    try {
      metas = infer_shapes(call_.name, call_.args);
    } catch (const c10::Error& error) {
      say("the shape rule refuses what the kernel takes: " + first_line_of(error));
      return;
    }
    if (metas.size() != call_.results.size()) {
      say(fmt::format("the shape rule gives {} results, the kernel {}", metas.size(),
                      call_.results.size()));
      return;
    }
    for (size_t i = 0; i < metas.size(); ++i) {
      const at::Tensor& result = call_.results[i];
      const std::string rule = meta_text(metas[i].sizes, metas[i].dtype);
      const std::string real = meta_text(result.sym_sizes(), result.scalar_type());
      if (rule != real) {
        say(fmt::format("the shape rule gives {} for result {}, the kernel {}", rule, i, real));
      }
    }
  }

  // Schemas may promise an alias that is none (reshape); not the other way round.
  void check_aliases() {
    if (schema_.returns().size() != call_.results.size()) return;
    for (size_t arg = 0; arg < call_.args.size(); ++arg) {
      if (!call_.args[arg].isTensor() || !call_.args[arg].toTensor().defined()) continue;
      for (size_t i = 0; i < call_.results.size(); ++i) {
        const auto& argument = schema_.arguments()[arg];
        if (is_alias_of_set(schema_.returns()[i], argument)) continue;
        if (share_memory(call_.args[arg].toTensor(), call_.results[i])) {
          say(
              fmt::format("result {} lies in the memory of argument {}, the schema says a fresh "
                          "tensor",
                          i, argument.name()));
        }
      }
    }
  }

  const EagerCall& call_;
  const c10::FunctionSchema& schema_;
  Findings found_;
};

}  // namespace

Findings registry_gaps(const Subject& subject) {
  Findings found;
  std::set<std::string> said;
  for (const EagerCall& call : eager_calls(subject.program, subject.inputs(subject.hint))) {
    if (crosses_meshes(call)) continue;
    for (std::string& line : RegistryCheck(call).run()) {
      if (said.insert(line).second) found.push_back(std::move(line));
    }
  }
  return found;
}

}  // namespace samebits
