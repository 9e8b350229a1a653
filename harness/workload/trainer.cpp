#include "harness/workload/trainer.h"

#include <ATen/ATen.h>
#include <c10/core/AutogradState.h>
#include <torch/csrc/autograd/autograd.h>

#include "harness/kernels/device.h"
#include "harness/kernels/functional.h"
#include "harness/model/attention.h"

namespace samebits {
namespace {

// The tensors of one sequence of T tokens, n of them generated. Its length is a size, never a
// value.
struct SequenceInputs {
  at::Tensor ids;         // int64 [1, T]
  at::Tensor positions;   // int64 [1, T]
  at::Tensor cu_seqlens;  // int32 [2]
  at::Tensor rows;        // int64 [n]: the positions whose next token was generated
  at::Tensor targets;     // int64 [1, n]
};

SequenceInputs sequence_inputs(const std::vector<int64_t>& tokens, int64_t first) {
  TORCH_CHECK(first > 0, "the first token of a sequence has no logprob");
  const int64_t length = static_cast<int64_t>(tokens.size());
  const at::Tensor ids = at::tensor(tokens);
  return {ids.view({1, length}), at::arange(length).view({1, length}),
          at::tensor({int64_t{0}, length}, at::kInt), at::arange(first - 1, length - 1),
          ids.narrow(0, first, length - first).contiguous().view({1, length - first})};
}

at::Tensor logprobs_of(const Decoder& model, const SequenceInputs& in) {
  const ContiguousAttention attention(model.numerics(), in.cu_seqlens, model.attention_scale());
  const at::Tensor logits = model.forward(in.ids, in.positions, attention, in.rows);
  return model.numerics()
      .log_softmax_gather(logits, in.targets, model.config().vocab_size)
      .view_symint({in.rows.sym_size(0)});
}

// Backward on this thread: autograd would give a card's to a thread of its own, where neither the
// tracer nor a recorder, which belong to this one, would see it.
class BackwardOnThisThread {
 public:
  BackwardOnThisThread() : before_(state().get_multithreading_enabled()) {
    state().set_multithreading_enabled(false);
  }
  ~BackwardOnThisThread() { state().set_multithreading_enabled(before_); }
  BackwardOnThisThread(const BackwardOnThisThread&) = delete;
  BackwardOnThisThread& operator=(const BackwardOnThisThread&) = delete;

 private:
  static c10::AutogradState& state() { return c10::AutogradState::get_tls_state(); }
  bool before_;
};

constexpr size_t kInitialLogprobs = 8;  // the last input, where there is one

// The order of the joint program's inputs.
std::vector<DynamicDim> dynamic_dims(const LossSettings& loss) {
  std::vector<DynamicDim> dims = {
      {/*ids*/ 0, 1, "tokens", 2},          {/*positions*/ 1, 1, "tokens", 2},
      {/*rows*/ 3, 0, "generated", 1},      {/*targets*/ 4, 1, "generated", 1},
      {/*reference*/ 5, 0, "generated", 1},
  };
  if (loss.kl_reference == KlReference::kInitial) {
    dims.push_back({kInitialLogprobs, 0, "generated", 1});
  }
  return dims;
}

}  // namespace

at::Tensor sequence_logprobs(const Decoder& model, const std::vector<int64_t>& tokens,
                             int64_t first) {
  SequenceInputs in = sequence_inputs(tokens, first);
  for (at::Tensor* input : {&in.ids, &in.positions, &in.cu_seqlens, &in.rows, &in.targets}) {
    *input = input->to(model.device());
  }
  return logprobs_of(model, in).cpu();
}

Trainer::Trainer(const Decoder& model, Optimizer& optimizer, const LossSettings& loss,
                 int64_t sequences, const Mode& mode)
    : model_(model),
      optimizer_(optimizer),
      loss_(loss),
      sequences_(sequences),
      one_(at::ones({}, model.device())),
      program_(make_executed(mode, {"trainer", model,
                                    [this](const std::vector<at::Tensor>& inputs) {
                                      return forward_and_backward(inputs);
                                    },
                                    dynamic_dims(loss), ModeLevel::kBelowAutograd})) {}

// Loss, its parts and the logprobs.
std::vector<at::Tensor> Trainer::forward_and_backward(const std::vector<at::Tensor>& inputs) {
  const at::Tensor logprobs =
      logprobs_of(model_, {inputs[0], inputs[1], inputs[2], inputs[3], inputs[4]});
  const bool has_initial = loss_.kl_reference == KlReference::kInitial;
  auto [loss, stats] = ops::grpo_loss(logprobs, /*reference=*/inputs[5], /*advantage=*/inputs[6],
                                      /*tokens=*/inputs[7], sequences_, loss_.clip, loss_.entropy,
                                      has_initial ? 0.0 : loss_.kl);
  if (has_initial) {  // the KL term alone, from other logprobs
    const auto [term, of_initial] =
        ops::grpo_loss(logprobs, inputs[kInitialLogprobs], at::zeros_like(inputs[6]), inputs[7],
                       sequences_, loss_.clip, /*entropy=*/0, loss_.kl);
    loss = loss + term;
    stats = at::cat({stats.narrow(0, 0, 5), of_initial.narrow(0, 5, 1)});
  }
  std::vector<at::Tensor> parameters;
  for (const Parameter& parameter : model_.parameters()) parameters.push_back(parameter.tensor);
  const BackwardOnThisThread here;
  optimizer_.accumulate(torch::autograd::grad({loss}, parameters, {one_}));
  return {loss, stats, logprobs};
}

TrainResult Trainer::accumulate(const std::vector<Sample>& samples) {
  TORCH_CHECK(static_cast<int64_t>(samples.size()) == sequences_, "the trainer found ",
              samples.size(), " sequences, expected ", sequences_);
  int64_t tokens = 0;
  for (const Sample& sample : samples) tokens += static_cast<int64_t>(sample.logprobs.size());

  TrainResult result;
  for (const Sample& sample : samples) {
    if (sample.logprobs.empty()) {
      result.logprobs.emplace_back();
      continue;
    }
    const SequenceInputs in = sequence_inputs(sample.tokens, sample.prompt_length);
    std::vector<at::Tensor> inputs{in.ids,
                                   in.positions,
                                   in.cu_seqlens,
                                   in.rows,
                                   in.targets,
                                   at::tensor(sample.logprobs),
                                   at::scalar_tensor(sample.advantage, at::kFloat),
                                   at::scalar_tensor(tokens, at::kLong)};
    if (loss_.kl_reference == KlReference::kInitial) {
      inputs.push_back(at::tensor(sample.initial_logprobs));
    }
    std::vector<at::Tensor> outputs = program_->run(inputs);
    for (at::Tensor& output : outputs) output = output.to(at::kCPU);
    throw_device_fault();

    const float* parts = outputs[1].const_data_ptr<float>();  // L, R, ratio, pg, entropy, kl
    result.loss += outputs[0].item<float>();
    result.pg += parts[3];
    result.entropy += parts[4];
    result.kl += parts[5];
    const float clip = static_cast<float>(loss_.clip);
    if (parts[2] < 1 - clip || parts[2] > 1 + clip) ++result.clipped;
    const float* values = outputs[2].const_data_ptr<float>();
    result.logprobs.emplace_back(values, values + outputs[2].numel());
  }
  return result;
}

}  // namespace samebits
