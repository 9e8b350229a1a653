#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>
#include <c10/util/SmallVector.h>

#include <functional>
#include <string>
#include <vector>

#include "harness/dtensor/dtensor_impl.h"
#include "harness/dtensor/placements.h"
#include "harness/mesh/device_mesh.h"

namespace samebits {

// Sharding propagation: from an operator's arguments and their placements, what the inputs must
// be and what the outputs will be. Nothing is run and no data is read, so the tracer can ask it
// about abstract DTensors.

// One call, along one dimension of its mesh. `args` are the operator's arguments in schema order;
// tensors are read through sym_sizes(), dim() and scalar_type() only and have global sizes.
struct OpCall {
  const c10::FunctionSchema& schema;
  c10::ArrayRef<c10::IValue> args;
  int64_t ranks;  // along the dimension
  // One for each tensor argument: lists flattened, undefined and missing ones skipped. A plain
  // tensor counts as Replicate.
  std::vector<Placement> placements;

  // The tensors that `placements` belong to, in the same order.
  std::vector<at::Tensor> tensors() const;
};

struct OpSharding {
  std::vector<Placement> inputs;   // as OpCall::placements; where they differ: redistribute first
  std::vector<Placement> outputs;  // one for each tensor that the operator returns, lists flattened
  // Rewrites the arguments of one rank's local call (view sizes, first_row). `at`: where the rank
  // stands along the dimension. May be empty.
  std::function<void(int64_t at, std::vector<c10::IValue>& local_args)> localize;
};

// The rule of one operator. Throws c10::Error for a call that it cannot serve.
using Strategy = OpSharding (*)(const OpCall& call);

// Strategies are found by the operator's name with its overload: "samebits::linear",
// "aten::add.Tensor".
void register_strategy(const std::string& op, Strategy strategy);
bool has_strategy(const std::string& op);
Strategy find_strategy(const std::string& op);  // null if there is none

// Whether an operator leads into or out of DTensor (from_local, redistribute, to_local,
// full_tensor): its kernel takes DTensors as they are and needs no strategy.
bool is_conversion(const std::string& op);

// The placements of each tensor argument, in the order of OpCall::placements, and the mesh that the
// DTensors among them share (null if there are none; two meshes throw c10::Error).
struct ArgPlacements {
  c10::intrusive_ptr<DeviceMesh> mesh;
  std::vector<Placements> placements;
};
ArgPlacements placements_of(c10::ArrayRef<c10::IValue> args);

// What a strategy says of one call, for each dimension of the mesh by itself, as upstream has it
// (expand_to_full_mesh_op_strategy in torch/distributed/tensor/_ops/utils.py).
class MeshSharding {
 public:
  // `found` is of `args`. Throws what the strategy throws, and c10::Error where two dimensions of
  // the mesh cut the arguments of one call that must be rewritten for it.
  MeshSharding(Strategy strategy, const c10::FunctionSchema& schema,
               c10::ArrayRef<c10::IValue> args, const ArgPlacements& found);

  size_t outputs() const { return by_dim_[0].outputs.size(); }
  Placements input(size_t i) const;
  Placements output(size_t i) const;
  void localize(int64_t rank, std::vector<c10::IValue>& local_args) const;

 private:
  c10::intrusive_ptr<DeviceMesh> mesh_;
  c10::SmallVector<OpSharding, 1> by_dim_;  // of the mesh
};

// An operator without a strategy throws NotImplementedError that names it, the placements and the
// folder where the rule belongs.
MeshSharding propagate(const c10::FunctionSchema& schema, c10::ArrayRef<c10::IValue> args,
                       const ArgPlacements& found);
[[noreturn]] void throw_no_strategy(const c10::FunctionSchema& schema, const ArgPlacements& found);

// "R, S(1)"
std::string text_of(const std::vector<Placements>& placements);

// Registers at static initialisation:  SAMEBITS_STRATEGY("samebits::linear", linear);
struct StrategyRegistrar {
  StrategyRegistrar(const char* op, Strategy strategy) { register_strategy(op, strategy); }
};
#define SAMEBITS_STRATEGY_CONCAT_(a, b) a##b
#define SAMEBITS_STRATEGY_NAME_(count) SAMEBITS_STRATEGY_CONCAT_(strategy_, count)
#define SAMEBITS_STRATEGY(op, strategy) \
  static const ::samebits::StrategyRegistrar SAMEBITS_STRATEGY_NAME_(__COUNTER__)(op, strategy)

}  // namespace samebits
