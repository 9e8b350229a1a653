#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/capture/passes/split.h"
#include "harness/capture/piecewise.h"
#include "harness/graph/replay_graph.h"

namespace samebits {

// How a result of a piece at a split gets to the captured pieces that take it. kCopied: it is
// copied to the address that they hold. kHandedOn: nobody copies it, as in vLLM, which counts on
// operators that write a buffer of the piece before; after one that returns a fresh tensor, replays
// of the pieces that take it refuse, since nothing was written at the address that they hold.
enum class SplitResults { kCopied, kHandedOn };

// A split graph at one size: its pieces are captured in order, then replayed in that order, and the
// pieces at a split run through the dispatcher between them, on what is in the pool. Their results
// are copied to where the next piece expects them, unless SplitResults says otherwise. A graph that
// was split nowhere is one piece.
//
// Values that cross pieces are passed by address. Each keeps its memory while the pieces up to its
// last user are captured, so nothing that is replayed in between writes there.
class BucketReplay {
 public:
  // `is_dynamic`: which inputs of the whole are the step's own tensors, of any size, instead of
  // static ones. Throws c10::Error where a piece that is to be captured takes one, or a size of
  // one. `name` is for messages.
  BucketReplay(const std::string& name, passes::SplitGraph split,
               const std::vector<bool>& is_dynamic, const std::shared_ptr<ReplayPool>& pool,
               SplitResults results = SplitResults::kCopied);
  ~BucketReplay();
  BucketReplay(const BucketReplay&) = delete;
  BucketReplay& operator=(const BucketReplay&) = delete;

  // Captures every piece, once, before the first run. Nothing is computed, no value is read. Inputs
  // that are not dynamic are buffers of the pool.
  void capture(const std::vector<at::Tensor>& inputs, const std::vector<int64_t>& symbols);

  // The same static inputs as at capture, written since the last run. The outputs are memory of the
  // pool, which the next run writes: to be copied.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs,
                              const std::vector<int64_t>& symbols);

  int64_t captures() const { return static_cast<int64_t>(captured_.size()); }  // graphs
  ReplayWitness witness() const;

 private:
  class CapturedPiece;
  class EagerPiece;
  RunPiece make_piece(const std::string& name, const passes::Piece& piece,
                      const std::shared_ptr<ReplayPool>& pool, SplitResults results);

  std::vector<std::shared_ptr<CapturedPiece>> captured_;
  std::vector<std::shared_ptr<EagerPiece>> eager_;
  std::unique_ptr<PiecewiseExecutor> pieces_;
};

}  // namespace samebits
