#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "harness/cli/commands.h"
#include "harness/cli/model_flags.h"
#include "harness/core/error.h"
#include "harness/core/file.h"
#include "harness/core/safetensors.h"
#include "harness/kernels/device.h"
#include "harness/model/attention.h"
#include "harness/observe/tensor_observation.h"
#include "harness/workload/workload.h"

namespace samebits {
namespace {

using nlohmann::json;

struct LogprobsFlags {
  ModelFlags model;
  std::string ids;
  std::string out;
  bool logits = false;
};

std::vector<std::vector<int64_t>> read_ids(const std::string& file, int64_t vocab_size) {
  json root;
  try {
    root = json::parse(read_text_file(file));
  } catch (const json::parse_error& error) {
    throw InputError(fmt::format("{}: byte {}", file, error.byte), "broken JSON",
                     "a list of lists of token ids");
  }
  if (!root.is_array()) throw InputError(file, root.type_name(), "a list of lists of token ids");
  std::vector<std::vector<int64_t>> sequences;
  for (size_t i = 0; i < root.size(); ++i) {
    const std::string where = fmt::format("{}: [{}]", file, i);
    if (!root[i].is_array()) throw InputError(where, root[i].type_name(), "a list of token ids");
    if (root[i].empty()) throw InputError(where, "an empty sequence", "one token or more");
    std::vector<int64_t> sequence;
    for (size_t j = 0; j < root[i].size(); ++j) {
      const json& id = root[i][j];
      const bool known =
          id.is_number_integer() && id.get<int64_t>() >= 0 && id.get<int64_t>() < vocab_size;
      if (!known) {
        throw InputError(fmt::format("{}[{}]", where, j), id.dump().substr(0, 40),
                         fmt::format("a token id below {}", vocab_size));
      }
      sequence.push_back(id.get<int64_t>());
    }
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

TensorView view_of(std::string name, const at::Tensor& tensor) {
  return {std::move(name),
          dtype_from_scalar_type(tensor.scalar_type()),
          tensor.sizes().vec(),
          {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
}

int run_logprobs(const LogprobsFlags& flags) {
  const c10::NoGradGuard no_grad;
  const Arm arm = flags.model.arm();
  const std::unique_ptr<Qwen3> model = make_model(arm, make_parallel(arm));
  const int64_t vocab = model->config().vocab_size;
  std::vector<std::pair<std::string, at::Tensor>> results;
  const auto sequences = read_ids(flags.ids, vocab);
  for (size_t i = 0; i < sequences.size(); ++i) {
    const int64_t length = static_cast<int64_t>(sequences[i].size());
    if (length > model->config().max_position_embeddings) {
      throw InputError(fmt::format("{}: [{}]", flags.ids, i), fmt::format("{} tokens", length),
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
    fmt::print("sequence {}: {} tokens\n", i, length);
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
  command->add_option("--ids", flags->ids, "JSON: a list of lists of token ids")->required();
  command
      ->add_option("--out", flags->out,
                   "safetensors: logprobs.i, float32 [length - 1]; logits.i where asked")
      ->required();
  command->add_flag("--logits", flags->logits, "also write logits.i, [length, vocabulary]");
  command->callback([flags, &action] { action = [flags] { return run_logprobs(*flags); }; });
}

}  // namespace samebits
