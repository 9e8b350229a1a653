#include "harness/workload/step_runner.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/base/error.h"
#include "harness/capture/passes/split.h"
#include "harness/capture/persistent/lower.h"
#include "harness/capture/print.h"
#include "harness/graph/make_pool.h"
#include "harness/kernels/device.h"
#include "harness/kernels/functional.h"
#include "harness/workload/generator_graph.h"

namespace samebits {
namespace {

// The order of a program's inputs. `keys` of [S + 1] is a symbol of its own: sizes are related by
// the engine, not by the graph.
std::vector<at::Tensor> list_from_inputs(const StepInputs& in) {
  return {in.ids,        in.positions, in.slots, in.block_table,
          in.cu_seqlens, in.seq_lens,  in.rows,  in.keys};
}

StepInputs inputs_from_list(const std::vector<at::Tensor>& list) {
  return {list[0], list[1], list[2], list[3], list[4], list[5], list[6], list[7]};
}

const std::vector<DynamicDim> kDynamicDims = {
    {/*ids*/ 0, 1, "tokens", 1},         {/*positions*/ 1, 1, "tokens", 1},
    {/*slots*/ 2, 0, "tokens", 1},       {/*block_table*/ 3, 0, "sequences", 1},
    {/*block_table*/ 3, 1, "blocks", 1}, {/*cu_seqlens*/ 4, 0, "boundaries", 2},
    {/*seq_lens*/ 5, 0, "sequences", 1}, {/*rows*/ 6, 0, "rows", 1},
    {/*keys*/ 7, 0, "rows", 1},
};

// One token of each sequence, all of them wanted.
bool is_decode(const StepInputs& in) {
  const int64_t tokens = in.slots.size(0);
  return in.seq_lens.size(0) == tokens && in.rows.size(0) == tokens;
}

// The inputs of a graph of one bucket of tokens. Padding: tokens of no sequence, which write no
// slot and whose attention is +0, and rows that are computed and dropped. A full graph has a
// sequence for each token, and those of padding have no keys; between pieces, attention takes what
// there is.
std::vector<BucketedInput> graph_inputs(bool is_full, int64_t pages, bool forced) {
  const BucketedInput::Size one = {0, 1};
  const BucketedInput::Size bucket = {1, 0};
  return {{at::kLong, {one, bucket}, /*ids*/ 0},
          {at::kLong, {one, bucket}, /*positions*/ 0},
          {at::kLong, {bucket}, /*slots*/ -1},
          {at::kInt, {bucket, {0, pages}}, /*block_table*/ 0, !is_full},
          {at::kInt, {{1, 1}}, /*cu_seqlens*/ std::nullopt, !is_full},
          {at::kInt, {bucket}, /*seq_lens*/ 0, !is_full},
          {at::kLong, {bucket}, /*rows*/ 0},
          {at::kLong, {bucket, {0, forced ? 1 : 2}}, /*keys*/ 0}};
}

// How tokens are chosen stands in a graph as constants: a saved one must choose as this run does.
void check_selection(const ir::Graph& graph, const Selection& wanted,
                     const std::filesystem::path& file) {
  const auto number = [](const ir::Arg& arg) { return std::get<c10::IValue>(arg.data); };
  Selection found{true, wanted.seed, wanted.temperature, wanted.top_k, wanted.top_p};
  for (const ir::Node& node : graph.nodes) {
    if (ir::op_name(node.op) != "samebits::sample") continue;
    found = {false, number(node.args[3]).toInt(), number(node.args[4]).toDouble(),
             number(node.args[5]).toInt(), number(node.args[6]).toDouble()};
  }
  if (found == wanted) return;
  const auto text = [](const Selection& s) {
    return s.forced ? std::string("a graph that scores given tokens")
                    : fmt::format("seed {}, temperature {}, top_k {}, top_p {}", s.seed,
                                  s.temperature, s.top_k, s.top_p);
  };
  throw InputError(file.string(), text(found), text(wanted));
}

// The same tensors, copied where they are not on that device yet.
std::vector<at::Tensor> on(c10::Device device, std::vector<at::Tensor> tensors) {
  for (at::Tensor& tensor : tensors) tensor = tensor.to(device);
  return tensors;
}

}  // namespace

StepRunner::StepRunner(const Qwen3& model, const KvCache& cache, const GeneratorMode& mode,
                       int64_t max_tokens)
    : model_(model), cache_(cache), mode_(mode), max_tokens_(max_tokens), parameters_(model) {
  if (!is_replayed(mode.execution)) return;
  pool_ = make_pool(model.device());
  if (mode.execution != Execution::kPersistent) return;
  progress_ = at::zeros({2}, at::TensorOptions().dtype(at::kLong).device(model.device()));
}

Program StepRunner::program(const Selection& selection) const {
  return [this, selection](const std::vector<at::Tensor>& list) -> std::vector<at::Tensor> {
    const StepInputs in = inputs_from_list(list);
    const PagedAttention attention(model_.numerics(), cache_,
                                   {in.slots, in.block_table, in.cu_seqlens, in.seq_lens},
                                   model_.attention_scale());
    const int64_t vocab = model_.config().vocab_size;
    const at::Tensor logits = model_.forward(in.ids, in.positions, attention, in.rows)
                                  .view_symint({in.rows.sym_size(0), model_.padded_vocab()});
    if (selection.forced) {
      const at::Tensor targets = in.keys.view_symint({in.keys.sym_size(0)});
      return {targets, model_.numerics().log_softmax_gather(logits, targets, vocab)};
    }
    const auto [tokens, logprobs] =
        ops::sample(logits, in.keys, vocab, selection.seed, selection.temperature, selection.top_k,
                    selection.top_p);
    return {tokens, logprobs};
  };
}

StepOutputs StepRunner::run(const StepInputs& inputs, const Selection& selection,
                            Observer* observer) {
  const c10::NoGradGuard no_grad;
  const std::vector<at::Tensor> outputs =
      on(at::kCPU, mode_.execution == Execution::kEager
                       ? run_eager(on(model_.device(), list_from_inputs(inputs)), selection)
                       : run_captured(inputs, selection, observer));
  throw_device_fault();
  return {outputs[0], outputs[1]};
}

std::vector<at::Tensor> StepRunner::run_eager(const std::vector<at::Tensor>& list,
                                              const Selection& selection) {
  const int64_t before = model_.forward_calls();
  std::vector<at::Tensor> outputs = program(selection)(list);
  eager_calls_ += model_.forward_calls() - before;
  return outputs;
}

CapturedProgram StepRunner::make_captured(const Selection& selection) const {
  CapturedProgram captured(program(selection), kDynamicDims, mode_.guards);
  captured.set_transform(
      [this](ir::Graph graph) { return run_passes(std::move(graph), mode_.passes); });
  if (!mode_.graph.empty()) {
    ir::Graph graph = load_generator_graph(mode_.graph, model_, cache_);
    check_selection(graph, selection, mode_.graph);
    captured.add_graph(run_passes(std::move(graph), mode_.passes));
  }
  return captured;
}

Replayer StepRunner::make_replayer(CapturedProgram& program, const Selection& selection) {
  const int64_t pages =
      (model_.config().max_position_embeddings + cache_.block_size() - 1) / cache_.block_size();
  const bool is_full = is_replayed_whole(mode_.execution);
  Replayer replayer(is_full ? "decode graph" : "step in pieces", program,
                    graph_inputs(is_full, std::min(pages, cache_.blocks()), selection.forced),
                    mode_.buckets.empty() ? Buckets::up_to(max_tokens_) : Buckets(mode_.buckets),
                    pool_, is_full ? std::vector<std::string>() : passes::attention_operators());
  if (progress_.defined()) {
    replayer.set_lowering([progress = progress_](const ir::Graph& graph) {
      return passes::lower_decode(graph, progress).graph;
    });
  }
  return replayer;
}

StepRunner::Captured& StepRunner::captured_for(const Selection& selection) {
  for (const auto& each : captured_) {
    if (each->selection == selection) return *each;
  }
  captured_.push_back(
      std::make_unique<Captured>(Captured{selection, make_captured(selection), std::nullopt}));
  Captured& captured = *captured_.back();
  if (pool_) captured.replayer.emplace(make_replayer(captured.program, selection));
  return captured;
}

std::vector<at::Tensor> StepRunner::replay(Replayer& replayer, const StepInputs& inputs,
                                           Observer* observer) {
  ReplayDigests digests;
  const bool is_observed = observer != nullptr && observer->sees_operators();
  std::vector<at::Tensor> outputs =
      replayer.run(list_from_inputs(inputs), inputs.slots.size(0), inputs.rows.size(0),
                   is_observed ? &digests : nullptr);
  if (is_observed) observer->observe_replay(digests);
  return outputs;
}

std::vector<at::Tensor> StepRunner::run_captured(const StepInputs& inputs,
                                                 const Selection& selection, Observer* observer) {
  parameters_.check();
  Captured& captured = captured_for(selection);
  const bool is_replay = mode_.execution == Execution::kPiecewise ||
                         (is_replayed_whole(mode_.execution) && is_decode(inputs));
  // Tracing enters the model's code without computing; every other entry would be eager work.
  const int64_t traces = captured.program.witness().traces;
  const int64_t before = model_.forward_calls();
  std::vector<at::Tensor> outputs =
      is_replay ? replay(*captured.replayer, inputs, observer)
                : captured.program(on(model_.device(), list_from_inputs(inputs)));
  eager_calls_ += model_.forward_calls() - before - (captured.program.witness().traces - traces);
  return outputs;
}

std::vector<std::pair<std::string, int64_t>> StepRunner::witness() const {
  std::vector<std::pair<std::string, int64_t>> counters;
  counters.emplace_back("generator.eager_calls", eager_calls_);
  if (mode_.execution == Execution::kEager) return counters;
  CaptureWitness sum;
  for (const auto& each : captured_) {
    const CaptureWitness& one = each->program.witness();
    sum.traces += one.traces;
    sum.loads += one.loads;
    sum.runs += one.runs;
    sum.nodes_executed += one.nodes_executed;
    sum.guards_checked += one.guards_checked;
    sum.guards_false += one.guards_false;
  }
  const auto captured = counters_of(sum, "generator");
  counters.insert(counters.end(), captured.begin(), captured.end());
  if (!mode_.graph.empty()) counters.emplace_back("generator.loads", sum.loads);
  if (!pool_) return counters;
  int64_t captures = 0;
  ReplayWitness replays;
  for (const auto& each : captured_) {
    captures += each->replayer->captures();
    replays += each->replayer->witness();
  }
  counters.emplace_back("generator.captures", captures);
  counters.emplace_back("generator.replays", replays.replays);
  counters.emplace_back("generator.launches", replays.launches);
  counters.emplace_back("generator.eager_operators", replays.eager_operators);
  counters.emplace_back("generator.replay_dispatcher_calls", replays.dispatcher_calls);
  counters.emplace_back("generator.replay_allocations", replays.allocations);
  if (!progress_.defined()) return counters;
  const at::Tensor progress = progress_.cpu();
  counters.emplace_back("generator.persistent_steps", progress.const_data_ptr<int64_t>()[0]);
  counters.emplace_back("generator.stages", progress.const_data_ptr<int64_t>()[1]);
  return counters;
}

std::vector<GuardRecord> StepRunner::guards() const {
  std::vector<GuardRecord> guards;
  for (const auto& each : captured_) {
    const std::vector<GuardRecord> ledger = each->program.ledger();
    guards.insert(guards.end(), ledger.begin(), ledger.end());
  }
  return guards;
}

std::vector<std::string> StepRunner::saved_graphs() const {
  std::vector<std::string> saved;
  for (const auto& each : captured_) {
    for (const auto& graph : each->program.graphs()) {
      saved.push_back(save_generator_graph(*graph, model_, cache_));
    }
  }
  return saved;
}

}  // namespace samebits
