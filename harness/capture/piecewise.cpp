#include "harness/capture/piecewise.h"

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <memory>
#include <set>

namespace samebits {

using ir::ValueId;

RunPiece execute_piece(const passes::Piece& piece, size_t) {
  const auto executor = std::make_shared<Executor>(piece.graph);
  return [executor](const std::vector<at::Tensor>& inputs, const std::vector<int64_t>& symbols) {
    return executor->run(inputs, symbols);
  };
}

PiecewiseExecutor::PiecewiseExecutor(passes::SplitGraph split, const MakeRunPiece& make)
    : split_(std::move(split)), whole_(split_.whole), last_used_(split_.pieces.size()) {
  std::set<ValueId> needed(split_.whole->outputs.begin(), split_.whole->outputs.end());
  for (size_t i = split_.pieces.size(); i-- > 0;) {
    for (const ValueId id : split_.pieces[i].inputs) {
      if (needed.insert(id).second) last_used_[i].push_back(id);
    }
  }
  for (size_t i = 0; i < split_.pieces.size(); ++i) {
    run_piece_.push_back(make(split_.pieces[i], i));
  }
}

std::vector<at::Tensor> PiecewiseExecutor::run(const std::vector<at::Tensor>& inputs) {
  return run(inputs, whole_.bind(inputs));
}

std::vector<at::Tensor> PiecewiseExecutor::run(const std::vector<at::Tensor>& inputs,
                                               const std::vector<int64_t>& symbols) {
  const c10::NoGradGuard no_grad;
  const ir::Graph& whole = *split_.whole;
  std::vector<at::Tensor> values(whole.values.size());
  for (size_t i = 0; i < inputs.size(); ++i) values[whole.inputs[i]] = inputs[i];
  for (size_t i = 0; i < split_.pieces.size(); ++i) {
    const passes::Piece& piece = split_.pieces[i];
    std::vector<at::Tensor> arguments;
    for (const ValueId id : piece.inputs) arguments.push_back(values[id]);
    for (const ValueId id : last_used_[i]) values[id].reset();
    std::vector<at::Tensor> results = run_piece_[i](arguments, symbols);
    TORCH_CHECK(results.size() == piece.outputs.size(), "piece ", i, " gave ", results.size(),
                " tensors, expected ", piece.outputs.size());
    for (size_t k = 0; k < results.size(); ++k) values[piece.outputs[k]] = std::move(results[k]);
  }
  std::vector<at::Tensor> outputs;
  for (const ValueId id : whole.outputs) {
    const ir::Value& value = whole.values[id];
    outputs.push_back(value.kind == ir::ValueKind::constant ? value.constant : values[id]);
  }
  return outputs;
}

}  // namespace samebits
