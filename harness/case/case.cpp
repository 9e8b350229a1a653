#include "harness/case/case.h"

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/case/case_names.h"

namespace samebits {
namespace case_names {

const Names<Dtype>& dtypes() {
  static const Names<Dtype> names = {{"bfloat16", Dtype::bfloat16}, {"float32", Dtype::float32}};
  return names;
}
const Names<DeviceKind>& devices() {
  static const Names<DeviceKind> names = {{"cpu", DeviceKind::kCpu}, {"cuda", DeviceKind::kCuda}};
  return names;
}
const Names<AttentionKernel>& attention_kernels() {
  static const Names<AttentionKernel> names = {{"flash", AttentionKernel::kFlash},
                                               {"sdpa", AttentionKernel::kSdpa}};
  return names;
}
const Names<Execution>& executions() {
  static const Names<Execution> names = {{"eager", Execution::kEager},
                                         {"captured", Execution::kCaptured},
                                         {"piecewise", Execution::kPiecewise},
                                         {"full_graph", Execution::kFullGraph},
                                         {"persistent", Execution::kPersistent}};
  return names;
}
const Names<GraphPass>& graph_passes() {
  static const Names<GraphPass> names = {
      {"common_subexpressions", GraphPass::kCommonSubexpressions},
      {"dead_code", GraphPass::kDeadCode},
      {"drop_roundings", GraphPass::kDropRoundings},
      {"fuse", GraphPass::kFuse}};
  return names;
}
const Names<GuardPolicy>& guard_policies() {
  static const Names<GuardPolicy> names = {{"keep", GuardPolicy::kKeep},
                                           {"drop", GuardPolicy::kDrop}};
  return names;
}
const Names<GatheredSize>& gathered_sizes() {
  static const Names<GatheredSize> names = {{"narrow", GatheredSize::kNarrow},
                                            {"conditional", GatheredSize::kConditional}};
  return names;
}
const Names<Nonfinite>& nonfinites() {
  static const Names<Nonfinite> names = {{"refuse", Nonfinite::kRefuse},
                                         {"accept", Nonfinite::kAccept}};
  return names;
}
const Names<WorkloadKind>& workloads() {
  static const Names<WorkloadKind> names = {{"grpo", WorkloadKind::kGrpo},
                                            {"prefill", WorkloadKind::kPrefill},
                                            {"decode", WorkloadKind::kDecode},
                                            {"train", WorkloadKind::kTrain}};
  return names;
}
const Names<Baseline>& baselines() {
  static const Names<Baseline> names = {{"mean_exp", Baseline::kMeanExp},
                                        {"group_mean", Baseline::kGroupMean}};
  return names;
}
const Names<KlReference>& kl_references() {
  static const Names<KlReference> names = {{"generator", KlReference::kGenerator},
                                           {"initial", KlReference::kInitial}};
  return names;
}
const Names<Normalize>& normalizations() {
  static const Names<Normalize> names = {
      {"none", Normalize::kNone}, {"group", Normalize::kGroup}, {"batch", Normalize::kBatch}};
  return names;
}
const Names<Draws>& draws() {
  static const Names<Draws> names = {{"per_step", Draws::kPerStep},
                                     {"same", Draws::kSame},
                                     {"same_for_each_prompt", Draws::kSameForEachPrompt}};
  return names;
}
const Names<UntiedHead>& untied_heads() {
  static const Names<UntiedHead> names = {{"none", UntiedHead::kNone},
                                          {"trainer", UntiedHead::kTrainer},
                                          {"generator", UntiedHead::kGenerator}};
  return names;
}
const Names<Holds>& relations() {
  static const Names<Holds> names = {{"bit_exact", Holds::kBitExact},
                                     {"ulp", Holds::kUlp},
                                     {"allclose", Holds::kAllclose},
                                     {"must_diverge", Holds::kMustDiverge}};
  return names;
}

const Names<Holds>& on_policy_relations() {
  static const Names<Holds> names = [] {
    Names<Holds> all = relations();
    all.emplace_back("none", Holds::kNothing);
    return all;
  }();
  return names;
}

const Names<TensorRule>& tensors() {
  static const Names<TensorRule> names = {{"must_match", TensorRule::kMustMatch},
                                          {"not_compared", TensorRule::kNotCompared}};
  return names;
}

}  // namespace case_names

std::vector<PromptSettings> reference_prompts() {
  return {{"The capital of France is", "paris"},
          {"What is 7 times 8?", "56"},
          {"The first president of the United States was", "washington"},
          {"The chemical symbol for water is", "h2o"},
          {"The largest planet in our solar system is", "jupiter"}};
}

const Arm& Case::arm(const std::string& wanted) const {
  std::vector<std::string> names;
  for (const Arm& candidate : arms) {
    if (candidate.name == wanted) return candidate;
    names.push_back(candidate.name);
  }
  throw InputError(file.string() + ": arms", "no arm " + quoted(wanted),
                   JsonReader::one_of_text(names, wanted));
}

Case select_arms(const Case& whole, const std::vector<std::string>& names) {
  if (names.empty()) return whole;
  for (const std::string& name : names) whole.arm(name);
  const auto is_kept = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  Case kept = whole;
  std::erase_if(kept.arms, [&](const Arm& arm) { return !is_kept(arm.name); });
  for (Relation& relation : kept.relations) {
    std::erase_if(relation.arms, [&](const std::string& name) { return !is_kept(name); });
  }
  std::erase_if(kept.relations, [](const Relation& relation) { return relation.arms.size() < 2; });
  return kept;
}

std::string to_string(DeviceKind value) {
  return case_names::name_of(case_names::devices(), value);
}
std::string to_string(AttentionKernel value) {
  return case_names::name_of(case_names::attention_kernels(), value);
}
std::string to_string(Execution value) {
  return case_names::name_of(case_names::executions(), value);
}
std::string to_string(GuardPolicy value) {
  return case_names::name_of(case_names::guard_policies(), value);
}
std::string to_string(GatheredSize value) {
  return case_names::name_of(case_names::gathered_sizes(), value);
}
std::string to_string(Nonfinite value) {
  return case_names::name_of(case_names::nonfinites(), value);
}
std::string to_string(WorkloadKind value) {
  return case_names::name_of(case_names::workloads(), value);
}
std::string to_string(Baseline value) {
  return case_names::name_of(case_names::baselines(), value);
}
std::string to_string(KlReference value) {
  return case_names::name_of(case_names::kl_references(), value);
}
std::string to_string(Normalize value) {
  return case_names::name_of(case_names::normalizations(), value);
}
std::string to_string(Draws value) { return case_names::name_of(case_names::draws(), value); }
std::string to_string(UntiedHead value) {
  return case_names::name_of(case_names::untied_heads(), value);
}
std::string to_string(Holds value) {
  return case_names::name_of(case_names::on_policy_relations(), value);
}
std::string to_string(TensorRule value) {
  return case_names::name_of(case_names::tensors(), value);
}

}  // namespace samebits
