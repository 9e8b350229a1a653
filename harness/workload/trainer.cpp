#include "harness/workload/trainer.h"

#include <ATen/ATen.h>
#include <c10/core/AutogradState.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <numeric>

#include "harness/graph/make_pool.h"
#include "harness/kernels/device.h"
#include "harness/kernels/functional.h"
#include "harness/kernels/step_gradient.h"
#include "harness/model/attention.h"
#include "harness/workload/micro_batch.h"
#include "harness/workload/processed_logits.h"

namespace samebits {
namespace {

template <typename T>
int64_t ssize(const std::vector<T>& x) {
  return static_cast<int64_t>(x.size());
}

at::Tensor tensor_of(const std::optional<double>& temperature, c10::Device device) {
  if (!temperature) return {};
  return at::scalar_tensor(*temperature, at::TensorOptions().dtype(at::kFloat).device(device));
}

at::Tensor logprobs_of(const Decoder& model, const PackedSequences& in,
                       const at::Tensor& temperature, const Gradients* gradients = nullptr) {
  const ContiguousAttention attention(model.numerics(), in.cu_seqlens, model.attention_scale());
  at::Tensor logits = model.forward(in.ids, in.positions, attention, in.rows, gradients);
  if (temperature.defined()) logits = processed_logits(logits, temperature);
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

// The loss and its parts, of sequences, groups, replicas and the step.
struct LossSums {
  float loss = 0;
  float pg = 0;
  float entropy = 0;
  float kl = 0;

  void add(const LossSums& other) {
    loss = loss + other.loss;
    pg = pg + other.pg;
    entropy = entropy + other.entropy;
    kl = kl + other.kl;
  }
};

// Sums of groups, or of replicas, joined as they come (kernels/step_gradient.h).
class LossTree {
 public:
  void add(LossSums sums) {
    for (int joins = joins_after_group(count_++); joins > 0; --joins) {
      sums.add(waiting_.back());
      waiting_.pop_back();
    }
    waiting_.push_back(sums);
  }
  const LossSums& whole() const { return waiting_.at(0); }

 private:
  std::vector<LossSums> waiting_;
  int64_t count_ = 0;
};

}  // namespace

at::Tensor sequence_logprobs(const Decoder& model, const std::vector<int64_t>& tokens,
                             int64_t first, std::optional<double> temperature) {
  PackedSequences in = pack({{tokens, first}});
  for (at::Tensor* input : {&in.ids, &in.positions, &in.cu_seqlens, &in.rows, &in.targets}) {
    *input = input->to(model.device());
  }
  return logprobs_of(model, in, tensor_of(temperature, model.device())).cpu();
}

Trainer::Trainer(const Decoder& model, Optimizer& optimizer, const TrainerSettings& settings,
                 const Mode& mode, const Replicas& replicas)
    : model_(model),
      optimizer_(optimizer),
      replicas_(replicas),
      settings_(settings),
      temperature_(tensor_of(settings.temperature, model.device())),
      most_of_group_(
          std::max<int64_t>(1, (settings.sequences + groups_of_step() - 1) / groups_of_step())) {
  ProgramSpec spec{
      "trainer", model,
      [this](const std::vector<at::Tensor>& inputs) { return forward_and_backward(inputs); },
      micro_batch_dims(settings.loss), ModeLevel::kBelowAutograd};
  if (mode.is_replayed()) {
    // A sequence that is longer than a micro-batch is one of its own.
    const int64_t tokens = std::max(settings.max_tokens, model.config().max_position_embeddings);
    spec.replays = {micro_batch_form(settings.loss,
                                     {optimizer.gradient().groups(), most_of_group_, tokens}, mode,
                                     make_pool(model.device()))};
  }
  program_ = make_executed(mode, std::move(spec));
}

// Loss, its parts and the logprobs, sequence by sequence.
std::vector<at::Tensor> Trainer::forward_and_backward(const std::vector<at::Tensor>& inputs) {
  const PackedSequences in = {inputs[kIds],  inputs[kPositions], inputs[kCuSeqlens],
                              inputs[kRows], inputs[kTargets],   inputs[kCuRows]};
  StepGradient& gradient = optimizer_.gradient();
  const Gradients gradients{gradient.sums(), inputs[kStarts], inputs[kRowStarts]};
  const at::Tensor logprobs = logprobs_of(model_, in, temperature_, &gradients);
  const at::Tensor& advantage = inputs[kAdvantage];
  const at::Tensor& tokens = inputs[kTokensOfStep];
  const LossSettings& settings = settings_.loss;
  const bool has_initial = settings.kl_reference == KlReference::kInitial;
  auto [loss, stats] = ops::grpo_loss(logprobs, inputs[kReference], in.cu_rows, advantage, tokens,
                                      settings_.sequences, settings.clip, settings.entropy,
                                      has_initial ? 0.0 : settings.kl);
  if (has_initial) {  // the KL term alone, from other logprobs
    const auto [term, of_initial] =
        ops::grpo_loss(logprobs, inputs[kInitialLogprobs], in.cu_rows, at::zeros_like(advantage),
                       tokens, settings_.sequences, settings.clip, /*entropy=*/0, settings.kl);
    loss = loss + term;
    stats = at::cat({stats.narrow(1, 0, 5), of_initial.narrow(1, 5, 1)}, 1);
  }
  ops::mark(logprobs, "logprobs#0");
  ops::mark(loss, "loss#0");
  ops::mark(stats, "loss#1");
  std::vector<at::Tensor> parameters;
  for (const Parameter& parameter : model_.parameters()) parameters.push_back(parameter.tensor);
  const BackwardOnThisThread here;
  gradient.add(torch::autograd::grad({loss}, parameters, {at::ones_like(advantage)},
                                     /*retain_graph=*/std::nullopt, /*create_graph=*/false,
                                     /*allow_unused=*/true));
  return {loss, stats, logprobs};
}

// Those that have a generated token.
std::vector<const Sample*> Trainer::group_of(const std::vector<Sample>& samples,
                                             int64_t group) const {
  const int64_t groups = groups_of_step();
  const int64_t of_step = replicas_.share_of(groups).first + group;
  const int64_t end = first_of_group(of_step + 1, settings_.sequences, groups);
  std::vector<const Sample*> own;
  for (int64_t i = first_of_group(of_step, settings_.sequences, groups); i < end; ++i) {
    if (!samples[i].logprobs.empty()) own.push_back(&samples[i]);
  }
  return own;
}

// As many groups at once as a micro-batch holds; LibTorch's own operators know no groups.
Trainer::Subtree Trainer::subtree_from(const std::vector<Sample>& samples, int64_t group) const {
  int64_t most = group == 0 ? optimizer_.gradient().groups() : group & -group;  // an aligned one
  if (!model_.numerics().contract) most = 1;
  for (; most > 1; most /= 2) {
    MicroBatch all;
    int64_t tokens = 0;
    size_t sequences = 0;
    for (int64_t g = group; g < group + most; ++g) {
      all.groups.push_back(group_of(samples, g));
      sequences += all.groups.back().size();
      for (const Sample* sample : all.groups.back()) tokens += ssize(sample->tokens);
    }
    if (sequences == 0) return {most, {}};
    if (tokens <= settings_.max_tokens) return {most, {all}};
  }
  Subtree one{1, {}};
  int64_t tokens = 0;  // of the last micro-batch
  for (const Sample* sample : group_of(samples, group)) {
    const int64_t length = ssize(sample->tokens);
    if (one.batches.empty() || tokens + length > settings_.max_tokens) {
      one.batches.push_back({{{}}});
      tokens = 0;
    }
    one.batches.back().groups[0].push_back(sample);
    tokens += length;
  }
  return one;
}

// `observer` is told of a replay's marks; of all others the operators themselves tell who listens.
std::vector<at::Tensor> Trainer::run(const MicroBatch& batch, int64_t tokens_of_step,
                                     Observer* observer) {
  std::vector<TokenSequence> sequences;
  std::vector<float> reference, initial, advantages;
  std::vector<int64_t> of_groups;
  for (const auto& group : batch.groups) {
    for (const Sample* sample : group) {
      sequences.push_back({sample->tokens, sample->prompt_length});
      reference.insert(reference.end(), sample->logprobs.begin(), sample->logprobs.end());
      initial.insert(initial.end(), sample->initial_logprobs.begin(),
                     sample->initial_logprobs.end());
      advantages.push_back(sample->advantage);
    }
    of_groups.push_back(ssize(group));
  }
  const PackedSequences in = pack(sequences);
  const bool is_replayed = program_->mode().is_replayed();
  const int64_t width =
      1 + (is_replayed ? most_of_group_ : *std::max_element(of_groups.begin(), of_groups.end()));
  std::vector<at::Tensor> inputs{in.ids,
                                 in.positions,
                                 in.cu_seqlens,
                                 in.rows,
                                 in.targets,
                                 in.cu_rows,
                                 at::tensor(reference),
                                 at::tensor(advantages),
                                 at::scalar_tensor(tokens_of_step, at::kLong),
                                 by_groups(in.cu_seqlens, of_groups, width),
                                 by_groups(in.cu_rows, of_groups, width)};
  if (settings_.loss.kl_reference == KlReference::kInitial) inputs.push_back(at::tensor(initial));
  ReplayDigests digests;
  const bool is_observed = observer != nullptr && observer->sees_operators();
  std::vector<at::Tensor> outputs = program_->run(inputs, is_observed ? &digests : nullptr);
  if (digests.marks) observer->observe_replay(digests);
  for (at::Tensor& output : outputs) output = output.to(at::kCPU).contiguous();
  throw_device_fault();
  for (size_t i = 0; is_observed && i < outputs.size(); ++i) {  // what the loop reads of the marks
    observer->observe(fmt::format("result#{}", i), outputs[i]);
  }
  return outputs;
}

// Each replica has the logprobs of its own sequences, and their count.
void Trainer::share_results(const std::vector<Sample>& samples, TrainResult& result) const {
  if (replicas_.size() == 1) return;
  const auto [first, end] = replicas_.share_of(settings_.sequences);
  std::vector<float> mine;
  for (int64_t i = first; i < end; ++i) {
    mine.insert(mine.end(), result.logprobs[i].begin(), result.logprobs[i].end());
  }
  const std::vector<float> all = replicas_.gather(mine);
  auto next = all.begin();
  for (size_t i = 0; i < samples.size(); ++i) {
    const int64_t count = ssize(samples[i].logprobs);
    result.logprobs[i].assign(next, next + count);
    next += count;
  }
  const std::vector<int64_t> clipped = replicas_.gather(std::vector{result.clipped});
  result.clipped = std::accumulate(clipped.begin(), clipped.end(), int64_t{0});
}

TrainResult Trainer::accumulate(const std::vector<Sample>& samples, Observer* observer) {
  TORCH_CHECK(ssize(samples) == settings_.sequences, "the trainer found ", samples.size(),
              " sequences, expected ", settings_.sequences);
  int64_t tokens = 0;
  for (const Sample& sample : samples) tokens += ssize(sample.logprobs);

  TrainResult result;
  result.logprobs.resize(samples.size());
  LossTree groups;
  for (int64_t group = 0; group < optimizer_.gradient().groups();) {
    const Subtree subtree = subtree_from(samples, group);
    std::vector<LossSums> sums(static_cast<size_t>(subtree.groups));
    for (const MicroBatch& batch : subtree.batches) {
      const std::vector<at::Tensor> outputs = run(batch, tokens, observer);
      const float clip = static_cast<float>(settings_.loss.clip);
      const float* losses = outputs[0].const_data_ptr<float>();
      const float* parts = outputs[1].const_data_ptr<float>();  // L, R, ratio, pg, entropy, kl
      const float* logprobs = outputs[2].const_data_ptr<float>();
      for (size_t g = 0; g < batch.groups.size(); ++g) {
        for (const Sample* sample : batch.groups[g]) {
          sums[g].add({*losses++, parts[3], parts[4], parts[5]});
          if (parts[2] < 1 - clip || parts[2] > 1 + clip) ++result.clipped;
          parts += 6;
          const float* end = logprobs + sample->logprobs.size();
          result.logprobs[sample - samples.data()].assign(logprobs, end);
          logprobs = end;
        }
      }
    }
    optimizer_.gradient().end_groups(subtree.groups);
    for (const LossSums& sum : sums) groups.add(sum);
    group += subtree.groups;
  }
  replicas_.sum(optimizer_.gradient().whole());
  LossTree of_replicas;
  for (const LossSums& sums : replicas_.gather(std::vector{groups.whole()})) of_replicas.add(sums);
  const LossSums& whole = of_replicas.whole();
  result.loss = whole.loss;
  result.pg = whole.pg;
  result.entropy = whole.entropy;
  result.kl = whole.kl;
  share_results(samples, result);
  return result;
}

}  // namespace samebits
