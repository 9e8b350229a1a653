#include "harness/case/case_write.h"

#include "harness/bits/digest.h"
#include "harness/case/case_names.h"

namespace samebits {
namespace {

// A key that came after the first goldens is written only where it says something.

Json json_from_sync(const SyncSettings& sync) {
  if (!sync.is_on) return "never";
  if (sync.late > 0) return {{"late", sync.late}};
  return {{"except", sync.except}};
}

Json json_from_workload(const WorkloadSettings& workload) {
  Json prompts = Json::array();
  for (const PromptSettings& entry : workload.prompts) {
    prompts.push_back({{"prompt", entry.prompt}, {"answer", entry.answer}});
  }
  const OptimizerSettings& optimizer = workload.optimizer;
  Json json = {{"name", to_string(workload.kind)},
               {"group", workload.group},
               {"max_new_tokens", workload.max_new_tokens},
               {"temperature", workload.temperature},
               {"top_k", workload.top_k},
               {"top_p", workload.top_p},
               {"prompts", std::move(prompts)},
               {"max_batch_tokens", workload.max_batch_tokens},
               {"block_size", workload.block_size},
               {"optimizer",
                {{"lr", optimizer.lr},
                 {"betas", Json::array({optimizer.beta1, optimizer.beta2})},
                 {"eps", optimizer.eps},
                 {"weight_decay", optimizer.weight_decay},
                 {"clip_norm", optimizer.clip_norm},
                 {"master", optimizer.master ? "float32" : "none"}}},
               {"loss",
                {{"clip", workload.loss.clip},
                 {"entropy", workload.loss.entropy},
                 {"kl", workload.loss.kl}}},
               {"advantage",
                {{"temperature", workload.advantage.temperature},
                 {"baseline", to_string(workload.advantage.baseline)}}}};
  if (workload.loss.kl_reference != KlReference::kGenerator) {
    json["loss"]["kl_reference"] = to_string(workload.loss.kl_reference);
  }
  if (workload.advantage.normalize != Normalize::kNone) {
    json["advantage"]["normalize"] = to_string(workload.advantage.normalize);
  }
  if (optimizer.state != Dtype::float32) {
    json["optimizer"]["state"] = std::string(dtype_name(optimizer.state));
  }
  if (workload.sequences != WorkloadSettings().sequences) json["sequences"] = workload.sequences;
  if (workload.updates != 1) json["updates"] = workload.updates;
  if (!workload.sync.is_whole()) json["sync"] = json_from_sync(workload.sync);
  if (workload.draws != Draws::kPerStep) json["draws"] = to_string(workload.draws);
  if (workload.untied_head != UntiedHead::kNone) {
    json["untied_head"] = to_string(workload.untied_head);
  }
  return json;
}

Json json_from_mesh(const MeshSettings& mesh) {
  Json json = {{"kind", mesh.kind}, {"tp", mesh.tp}};
  if (mesh.gathered_size != GatheredSize::kNarrow) {
    json["gathered_size"] = to_string(mesh.gathered_size);
  }
  return json;
}

}  // namespace

Json json_from_arm(const Arm& arm, const WrittenPaths& paths) {
  const NumericsSettings& numerics = arm.numerics;
  Json json = {{"model", paths.model},
               {"seed", arm.seed},
               {"steps", arm.steps},
               {"timeout_s", arm.timeout_s},
               {"numerics",
                {{"platform", numerics.platform},
                 {"dtype", std::string(dtype_name(numerics.dtype))},
                 {"attention", to_string(numerics.attention)},
                 {"batch_invariant", numerics.batch_invariant},
                 {"tp_invariant", numerics.tp_invariant},
                 {"fused_rounding", numerics.fused_rounding}}},
               {"mesh", json_from_mesh(arm.mesh)},
               {"workload", json_from_workload(arm.workload)},
               {"generator", to_string(arm.generator)},
               {"trainer", to_string(arm.trainer)},
               {"guards", to_string(arm.guards)}};
  if (arm.device != DeviceKind::kCpu) json["device"] = to_string(arm.device);
  if (arm.nonfinite != Nonfinite::kRefuse) json["nonfinite"] = to_string(arm.nonfinite);
  if (arm.on_policy) {
    json["on_policy"] = json_from_relation(*arm.on_policy);
    json["on_policy"].erase("arms");
  }
  if (!arm.repeats.weights.empty()) json["repeats"]["weights"] = arm.repeats.weights;
  if (!arm.repeats.rollouts.empty()) json["repeats"]["rollouts"] = arm.repeats.rollouts;
  for (const GraphPass pass : arm.passes) {
    json["passes"].push_back(case_names::name_of(case_names::graph_passes(), pass));
  }
  if (!paths.graph.empty()) json["graph"] = paths.graph;
  if (!paths.tokens.empty()) json["workload"]["tokens"] = paths.tokens;
  if (!arm.buckets.empty()) json["buckets"] = arm.buckets;
  return json;
}

Json json_from_relation(const Relation& relation) {
  Json json = {{"arms", relation.arms}, {"holds", to_string(relation.holds)}};
  if (relation.holds == Holds::kUlp) json["max_ulp"] = relation.max_ulp;
  if (relation.holds == Holds::kAllclose) {
    json["rtol"] = relation.rtol;
    json["atol"] = relation.atol;
  }
  if (relation.tensors != TensorRule::kMustMatch) json["tensors"] = to_string(relation.tensors);
  if (!relation.reason.empty()) json["reason"] = relation.reason;
  return json;
}

std::string canonical_json(const Case& c) {
  Json json = {{"name", c.name}, {"model", c.model}};
  if (c.requires_golden) json["golden"] = "required";
  Json& arms = json["arms"] = Json::object();
  for (const Arm& arm : c.arms) arms[arm.name] = Json::parse(arm.canonical);
  Json& relations = json["relations"] = Json::array();
  for (const Relation& relation : c.relations) relations.push_back(json_from_relation(relation));
  return json.dump(2);
}

std::string deciding_settings(const std::string& canonical) {
  Json settings = Json::parse(canonical);
  for (const char* key : {"steps", "timeout_s", "nonfinite", "on_policy", "repeats"}) {
    settings.erase(key);
  }
  const Json& numerics = settings["numerics"];
  if (numerics.at("batch_invariant") == true && numerics.at("attention") == "flash") {
    settings.erase("device");
  }
  return settings.dump();
}

std::string settings_digest(const Arm& arm) { return digest_of_settings(arm.canonical); }

std::string digest_of_settings(const std::string& canonical) {
  const std::string text = deciding_settings(canonical);
  const int64_t shape[] = {static_cast<int64_t>(text.size())};
  return digest_of(Dtype::uint8, shape, text.data()).hex();
}

}  // namespace samebits
