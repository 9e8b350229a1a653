#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/case/case.h"

// The words of a case file for each enumeration: reading and writing use the same table.
namespace samebits::case_names {

template <class Enum>
using Names = std::vector<std::pair<std::string, Enum>>;

const Names<Dtype>& dtypes();
const Names<DeviceKind>& devices();
const Names<AttentionKernel>& attention_kernels();
const Names<Execution>& executions();
const Names<GraphPass>& graph_passes();
const Names<GuardPolicy>& guard_policies();
const Names<GatheredSize>& gathered_sizes();
const Names<Nonfinite>& nonfinites();
const Names<WorkloadKind>& workloads();
const Names<Baseline>& baselines();
const Names<KlReference>& kl_references();
const Names<Normalize>& normalizations();
const Names<Draws>& draws();
const Names<UntiedHead>& untied_heads();
const Names<Holds>& relations();
const Names<Holds>& on_policy_relations();  // of an arm's own two sides: "none" too
const Names<TensorRule>& tensors();

template <class Enum>
std::string name_of(const Names<Enum>& names, Enum value) {
  for (const auto& [name, named] : names) {
    if (named == value) return name;
  }
  return "?";
}

}  // namespace samebits::case_names
