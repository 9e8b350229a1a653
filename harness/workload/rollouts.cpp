#include "harness/workload/rollouts.h"

#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"

namespace samebits {
namespace {

Rollout rollout_from_json(const JsonReader& json, int64_t vocab_size) {
  json.object({"tokens", "logprobs", "reward"});
  Rollout rollout;
  for (const JsonReader& id : json.required("tokens").array()) {
    rollout.tokens.push_back(id.integer(0, vocab_size - 1));
  }
  const JsonReader logprobs = json.required("logprobs");
  for (const JsonReader& each : logprobs.array()) {
    rollout.logprobs.push_back(static_cast<float>(each.number()));
  }
  if (rollout.logprobs.size() != rollout.tokens.size()) {
    logprobs.fail(fmt::format("{} logprobs", rollout.logprobs.size()),
                  fmt::format("one for each of {} tokens", rollout.tokens.size()));
  }
  if (auto reward = json.optional("reward")) rollout.reward = static_cast<float>(reward->number());
  return rollout;
}

Json json_from_rollout(const Rollout& rollout) {
  Json json = {{"tokens", rollout.tokens}, {"logprobs", rollout.logprobs}};
  if (rollout.reward) json["reward"] = *rollout.reward;
  return json;
}

}  // namespace

RolloutsByStep read_rollouts(const std::filesystem::path& file, int64_t vocab_size) {
  const Json root = read_json_file(file);
  const JsonReader reader(root, file.string());
  reader.object({"steps"});
  RolloutsByStep rollouts;
  for (const JsonReader& step : reader.required("steps").array(/*min_size=*/1)) {
    std::vector<Rollout>& of_step = rollouts.emplace_back();
    for (const JsonReader& each : step.array(/*min_size=*/1)) {
      of_step.push_back(rollout_from_json(each, vocab_size));
    }
  }
  return rollouts;
}

void write_rollouts(const std::filesystem::path& file, const RolloutsByStep& rollouts) {
  std::string text = "{\"steps\": [";
  for (size_t step = 0; step < rollouts.size(); ++step) {
    text += step == 0 ? "\n[" : ",\n[";
    for (size_t i = 0; i < rollouts[step].size(); ++i) {
      text += (i == 0 ? "\n" : ",\n") + json_from_rollout(rollouts[step][i]).dump();
    }
    text += ']';
  }
  write_text_file(file.string(), text + "]}\n");
}

std::vector<Rollout> rollouts_of_step(const RolloutsByStep& rollouts, int64_t step,
                                      size_t sequences, const ArmSettings& arm) {
  const std::string where = fmt::format("{}: steps.{}", arm.workload.rollouts.string(), step);
  if (step >= static_cast<int64_t>(rollouts.size())) {
    throw InputError(where, fmt::format("{} steps", rollouts.size()), "one for each of the arm");
  }
  const std::vector<Rollout>& of_step = rollouts[static_cast<size_t>(step)];
  if (of_step.size() != sequences) {
    throw InputError(where, fmt::format("{} sequences", of_step.size()),
                     fmt::format("{}, as the arm has prompts and samples", sequences));
  }
  for (const Rollout& each : of_step) {
    if (static_cast<int64_t>(each.tokens.size()) <= arm.workload.max_new_tokens) continue;
    throw InputError(
        where, fmt::format("a completion of {} tokens", each.tokens.size()),
        fmt::format("at most workload.max_new_tokens, {}", arm.workload.max_new_tokens));
  }
  return of_step;
}

}  // namespace samebits
