#include "harness/workload/step_runner.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/base/error.h"
#include "harness/capture/passes/split.h"
#include "harness/dispatch/operator_traits.h"
#include "harness/graph/make_pool.h"
#include "harness/kernels/device.h"
#include "harness/kernels/functional.h"
#include "harness/workload/generator_graph.h"
#include "harness/workload/processed_logits.h"

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

bool has_one_token_each(const StepInputs& in) { return in.seq_lens.size(0) == in.slots.size(0); }

// One token of each sequence, all of them wanted.
bool is_decode(const StepInputs& in) {
  return has_one_token_each(in) && in.rows.size(0) == in.slots.size(0);
}

// What is captured of one bucket of tokens: the whole step, of a token each (a decode step) or with
// a sequence of more, or what lies between its attentions.
enum class GraphKind { kDecode, kMixed, kPieces };

// The inputs of such a graph. Padding: tokens of no sequence, which write no slot and whose
// attention is +0, sequences without keys, and rows that are computed and dropped. Where a sequence
// has more than one token, there are fewer sequences than tokens, which is how a card's attention
// tells the two apart. Between pieces, attention takes what there is.
std::vector<BucketedInput> graph_inputs(GraphKind kind, int64_t pages, bool forced) {
  const BucketedInput::Linear one = {0, 1}, bucket = {1, 0};
  const BucketedInput::Linear zero = {0, 0}, no_slot = {0, -1}, tokens = {1, 0};
  const bool is_dynamic = kind == GraphKind::kPieces;
  const int64_t fewer = kind == GraphKind::kMixed ? 1 : 0;
  return {{at::kLong, {one, bucket}, /*ids*/ zero},
          {at::kLong, {one, bucket}, /*positions*/ zero},
          {at::kLong, {bucket}, /*slots*/ no_slot},
          {at::kInt, {{1, -fewer}, {0, pages}}, /*block_table*/ zero, is_dynamic},
          {at::kInt, {{1, 1 - fewer}}, /*cu_seqlens*/ tokens, is_dynamic},
          {at::kInt, {{1, -fewer}}, /*seq_lens*/ zero, is_dynamic},
          {at::kLong, {bucket}, /*rows*/ zero},
          {at::kLong, {bucket, {0, forced ? 1 : 2}}, /*keys*/ zero}};
}

// How tokens are chosen stands in a graph as constants: a saved one must choose as this run does.
void check_selection(const ir::Graph& graph, const Selection& wanted,
                     const std::filesystem::path& file) {
  Selection found = wanted;
  found.forced = true;
  for (const ir::Node& node : graph.nodes) {
    if (ir::op_name(node.op) != "samebits::sample") continue;
    const auto value = [&](const char* name) {
      return std::get<c10::IValue>(ir::argument(node, name).data);
    };
    found = {.forced = false,
             .seed = value("seed").toInt(),
             .temperature = value("temperature").toDouble(),
             .top_k = value("top_k").toInt(),
             .top_p = value("top_p").toDouble()};
  }
  if (found == wanted) return;
  const auto text = [](const Selection& s) {
    return s.forced ? std::string("a graph that scores given tokens")
                    : fmt::format("seed {}, temperature {}, top_k {}, top_p {}", s.seed,
                                  s.temperature, s.top_k, s.top_p);
  };
  throw InputError(file.string(), text(found), text(wanted));
}

}  // namespace

StepRunner::StepRunner(const Decoder& model, const KvCache& cache, const Mode& mode,
                       int64_t max_tokens)
    : model_(model),
      cache_(cache),
      mode_(mode),
      max_tokens_(max_tokens),
      pool_(mode.is_replayed() ? make_pool(model.device()) : nullptr) {}

Program StepRunner::program(const Selection& selection) const {
  const at::Tensor temperature = at::scalar_tensor(
      selection.temperature, at::TensorOptions().dtype(at::kFloat).device(model_.device()));
  return [this, selection,
          temperature](const std::vector<at::Tensor>& list) -> std::vector<at::Tensor> {
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
    if (!selection.has_processed_logprobs) return {tokens, logprobs};
    return {tokens, model_.numerics().log_softmax_gather(processed_logits(logits, temperature),
                                                         tokens, vocab)};
  };
}

std::vector<ReplayForm> StepRunner::replay_forms(const Selection& selection) const {
  const int64_t pages =
      (model_.config().max_position_embeddings + cache_.block_size() - 1) / cache_.block_size();
  const bool is_always = mode_.execution == Execution::kFullGraphAlways;
  const auto form = [&](GraphKind kind) {
    ReplayForm form;
    form.name = kind == GraphKind::kDecode  ? "decode graph"
                : kind == GraphKind::kMixed ? "step graph"
                                            : "step in pieces";
    if (kind == GraphKind::kPieces) form.splitting = attention_operators();
    form.inputs = graph_inputs(kind, std::min(pages, cache_.blocks()), selection.forced);
    form.buckets = {mode_.buckets.empty() ? Buckets::up_to(max_tokens_) : Buckets(mode_.buckets)};
    form.call = [kind, is_always](const std::vector<at::Tensor>& list) {
      const StepInputs in = inputs_from_list(list);
      const int64_t rows = in.rows.size(0);
      std::optional<ReplayCall> call;
      const bool fits =
          kind != GraphKind::kDecode || is_decode(in) || (is_always && has_one_token_each(in));
      if (fits) call = {{in.slots.size(0)}, {rows, rows}};
      return call;
    };
    form.pool = pool_;
    return form;
  };
  std::vector<ReplayForm> forms;
  if (mode_.replays_whole()) forms.push_back(form(GraphKind::kDecode));
  if (is_always) forms.push_back(form(GraphKind::kMixed));
  if (mode_.replays_pieces()) forms.push_back(form(GraphKind::kPieces));
  return forms;
}

ExecutedProgram& StepRunner::executed_for(const Selection& selection) {
  for (const auto& [known, executed] : programs_) {
    if (known == selection) return *executed;
  }
  ProgramSpec spec{name_, model_, program(selection), kDynamicDims};
  if (!mode_.graph.empty()) {
    spec.graph = load_generator_graph(mode_.graph, model_, cache_);
    check_selection(*spec.graph, selection, mode_.graph);
  }
  spec.replays = replay_forms(selection);
  programs_.emplace_back(selection, make_executed(mode_, std::move(spec)));
  return *programs_.back().second;
}

StepOutputs StepRunner::run(const StepInputs& inputs, const Selection& selection,
                            Observer* observer) {
  const c10::NoGradGuard no_grad;
  ReplayDigests digests;
  const bool is_observed = observer != nullptr && observer->sees_operators();
  std::vector<at::Tensor> outputs =
      executed_for(selection).run(list_from_inputs(inputs), is_observed ? &digests : nullptr);
  if (digests.marks) observer->observe_replay(digests);
  if (is_observed) {  // what the next step begins with, which nobody marks
    observer->observe("token#0", outputs[0]);
    observer->observe("token#1", outputs[1]);
  }
  for (at::Tensor& output : outputs) {
    if (!output.is_cpu()) output = output.cpu();
  }
  throw_device_fault();
  return {outputs[0], outputs[1]};
}

Witness StepRunner::witness() const {
  Witness sum;
  for (const auto& [selection, executed] : programs_) sum += executed->witness();
  return sum;
}

std::vector<GuardRecord> StepRunner::guards() const {
  std::vector<const ProgramRecord*> programs;
  for (const auto& [selection, executed] : programs_) programs.push_back(executed.get());
  return guards_of(programs);
}

std::vector<std::string> StepRunner::saved_graphs() const {
  std::vector<std::string> saved;
  for (const auto& [selection, executed] : programs_) {
    for (const auto& graph : executed->graphs()) {
      saved.push_back(save_generator_graph(*graph, model_, cache_));
    }
  }
  return saved;
}

}  // namespace samebits
