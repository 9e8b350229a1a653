#include "harness/workload/trainer.h"

#include <ATen/ATen.h>
#include <c10/core/AutogradState.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <numeric>

#include "harness/kernels/device.h"
#include "harness/kernels/functional.h"
#include "harness/kernels/step_gradient.h"
#include "harness/model/attention.h"

namespace samebits {
namespace {

// The tensors of S sequences of T tokens together, R of them generated. Their numbers are sizes,
// never values.
struct PackedSequences {
  at::Tensor ids;         // int64 [1, T]
  at::Tensor positions;   // int64 [1, T]
  at::Tensor cu_seqlens;  // int32 [S + 1]
  at::Tensor rows;        // int64 [R]: the tokens whose next token was generated
  at::Tensor targets;     // int64 [1, R]
  at::Tensor cu_rows;     // int32 [S + 1]: where sequences begin among them
};

// Boundaries of sequences that follow each other, [S + 1], as rows of their groups, which have so
// many each: int32 [G, most of a group + 1]. Shorter groups end with empty sequences.
at::Tensor by_groups(const at::Tensor& boundaries, const std::vector<int64_t>& sequences) {
  const auto groups = static_cast<int64_t>(sequences.size());
  const int64_t width = 1 + *std::max_element(sequences.begin(), sequences.end());
  const at::Tensor rows = at::empty({groups, width}, at::kInt);
  auto* to = rows.mutable_data_ptr<int32_t>();
  const auto* from = boundaries.const_data_ptr<int32_t>();
  for (const int64_t count : sequences) {
    for (int64_t i = 0; i < width; ++i) *to++ = from[std::min(i, count)];
    from += count;
  }
  return rows;
}

template <typename T>
int64_t ssize(const std::vector<T>& x) {
  return static_cast<int64_t>(x.size());
}

struct Sequence {
  const std::vector<int64_t>& tokens;
  int64_t first;  // that was generated
};

PackedSequences pack(const std::vector<Sequence>& sequences) {
  std::vector<int64_t> ids, positions, cu_seqlens = {0}, rows, targets, cu_rows = {0};
  for (const auto& [tokens, first] : sequences) {
    TORCH_CHECK(first > 0, "the first token of a sequence has no logprob");
    const auto length = static_cast<int64_t>(tokens.size());
    for (int64_t t = 0; t < length; ++t) positions.push_back(t);
    for (int64_t t = first - 1; t + 1 < length; ++t) rows.push_back(cu_seqlens.back() + t);
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    targets.insert(targets.end(), tokens.begin() + first, tokens.end());
    cu_seqlens.push_back(cu_seqlens.back() + length);
    cu_rows.push_back(static_cast<int64_t>(rows.size()));
  }
  return {at::tensor(ids).unsqueeze(0),     at::tensor(positions).unsqueeze(0),
          at::tensor(cu_seqlens, at::kInt), at::tensor(rows),
          at::tensor(targets).unsqueeze(0), at::tensor(cu_rows, at::kInt)};
}

at::Tensor logprobs_of(const Decoder& model, const PackedSequences& in,
                       const Gradients* gradients = nullptr) {
  const ContiguousAttention attention(model.numerics(), in.cu_seqlens, model.attention_scale());
  const at::Tensor logits = model.forward(in.ids, in.positions, attention, in.rows, gradients);
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

constexpr size_t kInitialLogprobs = 11;  // the last input, where there is one

// The order of the joint program's inputs: those of PackedSequences come first. `sequences` and
// the boundaries are related by pack(), not by the graph.
std::vector<DynamicDim> dynamic_dims(const LossSettings& loss) {
  std::vector<DynamicDim> dims = {
      {/*ids*/ 0, 1, "tokens", 2},
      {/*positions*/ 1, 1, "tokens", 2},
      {/*cu_seqlens*/ 2, 0, "boundaries", 2},
      {/*rows*/ 3, 0, "generated", 1},
      {/*targets*/ 4, 1, "generated", 1},
      {/*cu_rows*/ 5, 0, "boundaries", 2},
      {/*reference*/ 6, 0, "generated", 1},
      {/*advantage*/ 7, 0, "sequences", 1},
      {/*starts*/ 9, 0, "groups", 1},
      {/*starts*/ 9, 1, "boundaries_of_group", 2},
      {/*row_starts*/ 10, 0, "groups", 1},
      {/*row_starts*/ 10, 1, "boundaries_of_group", 2},
  };
  if (loss.kl_reference == KlReference::kInitial) {
    dims.push_back({kInitialLogprobs, 0, "generated", 1});
  }
  return dims;
}

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
                             int64_t first) {
  PackedSequences in = pack({{tokens, first}});
  for (at::Tensor* input : {&in.ids, &in.positions, &in.cu_seqlens, &in.rows, &in.targets}) {
    *input = input->to(model.device());
  }
  return logprobs_of(model, in).cpu();
}

Trainer::Trainer(const Decoder& model, Optimizer& optimizer, const TrainerSettings& settings,
                 const Mode& mode, const Replicas& replicas)
    : model_(model),
      optimizer_(optimizer),
      replicas_(replicas),
      settings_(settings),
      program_(make_executed(mode, {"trainer", model,
                                    [this](const std::vector<at::Tensor>& inputs) {
                                      return forward_and_backward(inputs);
                                    },
                                    dynamic_dims(settings.loss), ModeLevel::kBelowAutograd})) {}

// Loss, its parts and the logprobs, sequence by sequence.
std::vector<at::Tensor> Trainer::forward_and_backward(const std::vector<at::Tensor>& inputs) {
  const PackedSequences in = {inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], inputs[5]};
  StepGradient& gradient = optimizer_.gradient();
  const Gradients gradients{gradient.sums(), /*starts=*/inputs[9], /*row_starts=*/inputs[10]};
  const at::Tensor logprobs = logprobs_of(model_, in, &gradients);
  const at::Tensor& advantage = inputs[7];
  const at::Tensor& tokens = inputs[8];
  const LossSettings& settings = settings_.loss;
  const bool has_initial = settings.kl_reference == KlReference::kInitial;
  auto [loss, stats] = ops::grpo_loss(logprobs, /*reference=*/inputs[6], in.cu_rows, advantage,
                                      tokens, settings_.sequences, settings.clip, settings.entropy,
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
  const int64_t groups = optimizer_.gradient().groups() * replicas_.size();
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

std::vector<at::Tensor> Trainer::run(const MicroBatch& batch, int64_t tokens_of_step) {
  std::vector<Sequence> sequences;
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
  std::vector<at::Tensor> inputs{in.ids,
                                 in.positions,
                                 in.cu_seqlens,
                                 in.rows,
                                 in.targets,
                                 in.cu_rows,
                                 at::tensor(reference),
                                 at::tensor(advantages),
                                 at::scalar_tensor(tokens_of_step, at::kLong),
                                 by_groups(in.cu_seqlens, of_groups),
                                 by_groups(in.cu_rows, of_groups)};
  if (settings_.loss.kl_reference == KlReference::kInitial) inputs.push_back(at::tensor(initial));
  std::vector<at::Tensor> outputs = program_->run(inputs);
  for (at::Tensor& output : outputs) output = output.to(at::kCPU).contiguous();
  throw_device_fault();
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

TrainResult Trainer::accumulate(const std::vector<Sample>& samples) {
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
      const std::vector<at::Tensor> outputs = run(batch, tokens);
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
