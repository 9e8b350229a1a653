#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "harness/capture/executor.h"
#include "harness/capture/passes/split.h"

namespace samebits {

// Executes one piece: its outputs for its inputs, given the values of the symbols by id.
using RunPiece = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& inputs,
                                                       const std::vector<int64_t>& symbols)>;

// Gives each piece its way of being executed, once, when the program is built. Replays plug in
// here; what they do not replay they leave to execute_piece.
using MakeRunPiece = std::function<RunPiece(const passes::Piece& piece, size_t index)>;

// By an Executor of the piece's own.
RunPiece execute_piece(const passes::Piece& piece, size_t index);

// Runs the pieces of a split graph in order: the calls of the whole in the same order, so the same
// bits. Values that cross are let go after the last piece that needs them. Without autograd. Not
// thread-safe, as Executor is not.
class PiecewiseExecutor {
 public:
  explicit PiecewiseExecutor(passes::SplitGraph split, const MakeRunPiece& make = execute_piece);

  // Binds the symbols once, from the whole graph's inputs. Throws what Executor::bind() throws.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs);
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs,
                              const std::vector<int64_t>& symbols);

  const passes::SplitGraph& split() const { return split_; }

 private:
  passes::SplitGraph split_;
  Executor whole_;  // binds, never runs
  std::vector<RunPiece> run_piece_;
  std::vector<std::vector<ir::ValueId>> last_used_;  // by piece: values that it needs as the last
};

}  // namespace samebits
