#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <vector>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/output.h"
#include "harness/bits/safetensors.h"
#include "harness/cli/commands.h"
#include "harness/cli/model_flags.h"
#include "harness/cli/validators.h"
#include "harness/kernels/device.h"
#include "harness/model/attention.h"
#include "harness/observe/tensor_observation.h"
#include "harness/workload/memory_plan.h"
#include "harness/workload/token_ids.h"
#include "harness/workload/workload.h"

namespace samebits {
namespace {

struct LogprobsFlags {
  ModelFlags model;
  std::string ids;
  std::string out;
  bool logits = false;
};

TensorView view_of(std::string name, const at::Tensor& tensor) {
  return {std::move(name),
          dtype_from_scalar_type(tensor.scalar_type()),
          tensor.sizes().vec(),
          {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
}

int run_logprobs(const LogprobsFlags& flags) {
  check_output(flags.out, {flags.ids, flags.model.model});
  const c10::NoGradGuard no_grad;
  CaseArm arm = flags.model.arm();
  arm.workload.kind = WorkloadKind::kPrefill;  // nothing is trained, and no page is held
  const DecoderConfig config = decoder_config_from_folder(arm.model);
  check_memory(arm, plan_memory(arm, config, /*sequences=*/0, /*longest=*/0), free_memory(arm));
  const std::unique_ptr<Decoder> model = make_model(arm, arm.generator, make_parallel(arm));
  const int64_t vocab = model->config().vocab_size;
  std::vector<std::pair<std::string, at::Tensor>> results;
  const auto sequences = parse_token_ids(read_text_file(flags.ids), flags.ids, vocab);
  for (size_t i = 0; i < sequences.size(); ++i) {
    const int64_t length = static_cast<int64_t>(sequences[i].size());
    if (length > model->config().max_position_embeddings) {
      throw InputError(fmt::format("{}: {}", flags.ids, i), fmt::format("{} tokens", length),
                       fmt::format("at most {}", model->config().max_position_embeddings));
    }
    const c10::Device device = model->device();
    const at::Tensor ids = at::tensor(sequences[i]).view({1, length}).to(device);
    const at::Tensor positions = at::arange(length).view({1, length}).to(device);
    const at::Tensor cu_seqlens = at::tensor({int64_t{0}, length}, at::kInt).to(device);
    const ContiguousAttention attention(model->numerics(), cu_seqlens, model->attention_scale());
    const at::Tensor logits = model->forward(ids, positions, attention);
    results.push_back({fmt::format("logprobs.{}", i),
                       model->numerics()
                           .log_softmax_gather(logits.narrow(1, 0, length - 1).contiguous(),
                                               ids.narrow(1, 1, length - 1).contiguous(), vocab)
                           .view({length - 1})
                           .cpu()
                           .contiguous()});
    if (flags.logits) {
      results.push_back({fmt::format("logits.{}", i),
                         logits.narrow(2, 0, vocab).reshape({length, vocab}).cpu().contiguous()});
    }
    throw_device_fault();
    say("sequence {}: {} tokens\n", i, length);
  }
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : results) views.push_back(view_of(name, tensor));
  write_safetensors(flags.out, views);
  return 0;
}

}  // namespace

void add_logprobs_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("logprobs", "score token ids under a model");
  const auto flags = std::make_shared<LogprobsFlags>();
  flags->model.add_to(*command);
  command->add_option("--ids", flags->ids, "JSON: a list of lists of token ids")
      ->required()
      ->check(not_empty());
  command
      ->add_option("--out", flags->out,
                   "safetensors: logprobs.i, float32 [length - 1]; logits.i where asked")
      ->required()
      ->check(not_empty());
  command->add_flag("--logits", flags->logits, "also write logits.i, [length, vocabulary]");
  command->callback([flags, &action] { action = [flags] { return run_logprobs(*flags); }; });
}

}  // namespace samebits
