#include "harness/diagnose/reduced_text.h"

#include <fmt/format.h>

#include "harness/base/environment.h"
#include "harness/diagnose/standing_case.h"
#include "harness/model/config.h"

namespace samebits {
namespace {

std::string number_at(const Json& json, const std::string& key) {
  const Json::json_pointer at(key);
  return json.contains(at) ? json.at(at).dump() : "";
}

std::string model_text(const std::string& folder, const Json& cut) {
  const DecoderConfig config = decoder_config_from_folder(folder);
  const auto size = [&](const char* key, int64_t whole) { return cut.value(key, whole); };
  return fmt::format("layers {}, hidden size {}, heads {}, of keys {}, head size {}, vocabulary {}",
                     size("num_hidden_layers", config.num_hidden_layers),
                     size("hidden_size", config.hidden_size),
                     size("num_attention_heads", config.num_attention_heads),
                     size("num_key_value_heads", config.num_key_value_heads),
                     size("head_dim", config.head_dim), size("vocab_size", config.vocab_size));
}

std::string how_it_fails(const ReducedRun& run) {
  return fmt::format("{}, {}.", run.failure->text(), run.of_least.count());
}

std::string versions() {
  std::string text;
  for (const auto& [name, value] : environment_report()) {
    text += fmt::format("| {} | {} |\n", name, value);
  }
  return "| what | here |\n|---|---|\n" + text;
}

// Of programs that differ: what looking for one operator came to.
std::string one_operator(const ReducedRun& run) {
  std::string text = "One operator alone, eager against compiled: " + run.alone;
  if (run.has_script) text += "\n\n`python3 upstream.py` shows it in stock torch.";
  return text;
}

constexpr char kCommands[] =
    "samebits run case.json --out out              # exit code 1; the report is out/report.md\n"
    "samebits run case.json --level op --out out   # with every operator's output\n";

}  // namespace

std::vector<std::pair<std::string, std::string>> sizes_of(const Candidate& candidate) {
  std::vector<std::pair<std::string, std::string>> sizes;
  const auto add = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) sizes.emplace_back(name, value);
  };
  const Json& arms = candidate.settings.at("arms");
  const Json& first = arms.begin().value();
  add("steps", number_at(first, "/steps"));
  if (first.contains("workload")) {
    const Json& workload = first.at("workload");
    if (workload.value("name", "grpo") != "train") {
      add("prompts", std::to_string(workload.at("prompts").size()));
      add("samples a prompt", number_at(workload, "/group"));
      add("tokens a sample", number_at(workload, "/max_new_tokens"));
    } else {
      const int64_t usual = WorkloadSettings().sequences;
      add("sequences", std::to_string(workload.value("sequences", usual)));
    }
  }
  for (const std::string& model : models_of(candidate)) {  // which may be folders of one form
    const std::string text = model_text(model, candidate.model_sizes);
    if (sizes.empty() || sizes.back().second != text) add("model", text);
  }
  const Json plain = plain_case(candidate.settings);
  for (const auto& [name, arm] : plain.at("arms").items()) {
    Json own = arm;
    own.erase("model");
    add("arm " + name, own.empty() ? "as the case" : own.dump());
  }
  return sizes;
}

std::string ReducedRun::text() const {
  if (!failure) return "nothing to reduce: no relation, arm or pair of sides failed\n";
  if (!is_reproduced()) {
    return fmt::format("not reproduced: {} ({})\nnow: {}\n", failure->text(), failure->where,
                       of_whole.last.text);
  }
  std::string text = fmt::format("{}\n  here    {}\n", how_it_fails(*this), of_least.last.text);
  for (const Size& size : sizes) {
    text += size.before == size.after
                ? fmt::format("  {:<18} {}\n", size.name, size.after)
                : fmt::format("  {:<18} {} (was {})\n", size.name, size.after, size.before);
  }
  for (const std::string& each : reduced.unsteady) text += "  only sometimes     " + each + "\n";
  text += fmt::format("  tried              {} candidates, {} taken\n", reduced.tried,
                      reduced.changes.size());
  if (!alone.empty()) text += "  alone              " + alone + "\n";
  if (!reduced.is_least) text += "  the time was over: --resume goes on from here\n";
  return text;
}

std::string reduced_readme(const ReducedRun& run) {
  std::string text = fmt::format(
      "# {}\n\nThe least case that was found to fail as a run of {} did: {}\n\n| | |\n|---|---|\n"
      "| where | {} |\n| in the run | {} |\n\n## See it\nIn this folder:\n\n```\n{}```\n\n## What "
      "was made smaller\n| what | the run | here |\n|---|---|---|\n",
      run.failure->text(), run.reduced.least.settings.at("name").get<std::string>(),
      how_it_fails(run), run.of_least.last.text, run.where_in_run, kCommands);
  for (const ReducedRun::Size& size : run.sizes) {
    text += fmt::format("| {} | {} | {} |\n", size.name, size.before, size.after);
  }
  text += fmt::format("\n{} candidates were tried, {} of them taken, each seen to fail twice.{}\n",
                      run.reduced.tried, run.reduced.changes.size(),
                      run.reduced.is_least ? " Nothing smaller fails in the same way."
                                           : " The time was over before all had been tried.");
  if (!run.reduced.unsteady.empty()) {
    text += "\nCandidates that fail only sometimes:\n\n";
    for (const std::string& each : run.reduced.unsteady) text += "- " + each + "\n";
  }
  if (!run.alone.empty()) {
    text += fmt::format("\n{}\n", one_operator(run));
  } else if (run.has_script) {
    text +=
        "\n`python3 upstream.py` runs the operator in stock torch, on the inputs that it had "
        "(`inputs.safetensors`),\nand says which arm gives torch's bits.\n";
  }
  return text + "\n## Versions\n" + versions();
}

std::string reduced_issue(const ReducedRun& run, const std::string& case_text) {
  std::string text = fmt::format(
      "# {}\n\n**What happens.** {}\n\n```\n{}\n```\n\n**What is run.**\n\n```json\n{}```\n\n"
      "**How to see it.** In the attached folder:\n\n```\n{}```\n\n",
      run.failure->text(), how_it_fails(run), run.of_least.last.text, case_text, kCommands);
  if (!run.alone.empty()) text += one_operator(run) + "\n\n";
  return text + "**Versions.**\n\n" + versions();
}

}  // namespace samebits
