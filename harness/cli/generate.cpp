#include <cmath>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/base/output.h"
#include "harness/cli/commands.h"
#include "harness/cli/model_flags.h"
#include "harness/cli/validators.h"
#include "harness/workload/grpo.h"
#include "harness/workload/workload.h"

namespace samebits {
namespace {

struct GenerateFlags {
  ModelFlags model;
  std::string prompt;
  Sampling sampling{/*seed=*/42, /*max_new_tokens=*/64, /*temperature=*/1.0, /*top_k=*/0,
                    /*top_p=*/1.0};
};

// The library's ranges let pass what is no number.
void require_number(const char* flag, double value, const char* expected) {
  if (!std::isfinite(value)) throw InputError(flag, shortest_text(value), expected);
}

int run_generate(const GenerateFlags& flags) {
  require_number("--temperature", flags.sampling.temperature, "a number of at least 0");
  require_number("--top-p", flags.sampling.top_p, "a number above 0, at most 1");
  CaseArm arm = flags.model.arm();
  arm.workload.kind = WorkloadKind::kDecode;  // nothing is trained
  arm.workload.prompts = {{flags.prompt, ""}};
  arm.workload.group = 1;
  arm.workload.max_new_tokens = flags.sampling.max_new_tokens;
  check_arm(arm);
  const Tokenizer tokenizer = Tokenizer::from_folder(arm.model);
  const std::vector<int64_t> prompt = encode_prompts(arm, tokenizer).front();
  const std::unique_ptr<Decoder> model = make_model(arm, arm.generator, make_parallel(arm));
  const std::unique_ptr<Engine> engine =
      make_engine(arm, *model, /*sequences=*/1,
                  static_cast<int64_t>(prompt.size()) + flags.sampling.max_new_tokens);
  const std::vector<Completion> completions =
      engine->generate({{/*id=*/0, prompt, {}}}, flags.sampling);
  print_text(flags.prompt + tokenizer.decode(completions.front().tokens, /*skip_special=*/true) +
             "\n");
  return 0;
}

}  // namespace

void add_generate_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("generate", "continue a prompt, for a person to read");
  const auto flags = std::make_shared<GenerateFlags>();
  flags->model.add_to(*command);
  command->add_option("--prompt", flags->prompt, "text to continue")->required();
  command->add_option("--max-new-tokens", flags->sampling.max_new_tokens, "at most")
      ->check(whole_number(1));
  command->add_option("--temperature", flags->sampling.temperature, "0: greedy")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--top-k", flags->sampling.top_k, "0: off")->check(whole_number(0));
  command
      ->add_option("--top-p", flags->sampling.top_p, "1: off; counts all ids, also beside --top-k")
      ->check(CLI::Range(1e-6, 1.0));
  command->add_option("--seed", flags->sampling.seed, "of the sampler")->check(whole_number(0));
  command->callback([flags, &action] { action = [flags] { return run_generate(*flags); }; });
}

}  // namespace samebits
