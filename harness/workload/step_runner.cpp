#include "harness/workload/step_runner.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/capture/print.h"
#include "harness/core/error.h"
#include "harness/kernels/functional.h"

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

}  // namespace

StepRunner::StepRunner(const Qwen3& model, const KvCache& cache, Execution execution,
                       GuardPolicy guards)
    : model_(model), cache_(cache), execution_(execution), guards_(guards) {}

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

StepOutputs StepRunner::run(const StepInputs& inputs, const Selection& selection) {
  const c10::NoGradGuard no_grad;
  const std::vector<at::Tensor> list = list_from_inputs(inputs);
  std::vector<at::Tensor> outputs;
  if (execution_ == Execution::kEager) {
    const int64_t before = model_.forward_calls();
    outputs = program(selection)(list);
    eager_calls_ += model_.forward_calls() - before;
    return {outputs[0], outputs[1]};
  }
  auto found = std::find_if(captured_.begin(), captured_.end(),
                            [&](const auto& each) { return each->selection == selection; });
  if (found == captured_.end()) {
    captured_.push_back(std::make_unique<Captured>(
        Captured{selection, CapturedProgram(program(selection), kDynamicDims, guards_)}));
    found = std::prev(captured_.end());
  }
  CapturedProgram& captured = (*found)->program;
  // Tracing enters the model's code without computing; every other entry would be eager work.
  const int64_t traces = captured.witness().traces;
  const int64_t before = model_.forward_calls();
  outputs = captured(list);
  eager_calls_ += model_.forward_calls() - before - (captured.witness().traces - traces);
  return {outputs[0], outputs[1]};
}

std::vector<std::pair<std::string, int64_t>> StepRunner::witness() const {
  std::vector<std::pair<std::string, int64_t>> counters;
  counters.emplace_back("generator.eager_calls", eager_calls_);
  if (execution_ == Execution::kEager) return counters;
  CaptureWitness sum;
  for (const auto& each : captured_) {
    const CaptureWitness& one = each->program.witness();
    sum.traces += one.traces;
    sum.runs += one.runs;
    sum.nodes_executed += one.nodes_executed;
    sum.guards_checked += one.guards_checked;
    sum.guards_false += one.guards_false;
  }
  counters.emplace_back("generator.traces", sum.traces);
  counters.emplace_back("generator.runs", sum.runs);
  counters.emplace_back("generator.nodes", sum.nodes_executed);
  counters.emplace_back("generator.guards_checked", sum.guards_checked);
  counters.emplace_back("generator.guards_false", sum.guards_false);
  return counters;
}

std::vector<std::string> StepRunner::printed_graphs() const {
  std::vector<std::string> printed;
  for (const auto& each : captured_) {
    for (const auto& graph : each->program.graphs()) printed.push_back(to_string(*graph));
  }
  return printed;
}

}  // namespace samebits
