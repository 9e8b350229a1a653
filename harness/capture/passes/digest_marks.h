#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/capture/ir/graph.h"

namespace samebits::passes {

// What samebits::mark named: its site, and what is known of the whole value.
struct Mark {
  std::string site;
  ir::ValueMeta meta;
  int64_t digests = 1;  // one for each hosted rank of a Replicate
};

struct DigestedGraph {
  ir::Graph graph;
  std::vector<Mark> marks;  // in program order
};

// For a graph whose operators nobody sees when it runs: computes digests where it had marks. The
// new graph gives more outputs after its own, int64 [n, 2] each: together the sums of digest_rows.h
// of every mark, in program order. A value that is padded in the dimension of a symbol has the
// digest of what is no padding: `symbols`, int64 [symbols] where the graph runs, holds their values
// without it by id. It becomes a constant of the graph, so what its owner writes there in place is
// seen by the next run. A DTensor is seen whole: shards gathered, pending sums reduced; of a
// Replicate over one dimension of a mesh the copy of each of the `hosted_ranks`, in their order.
//
// Marked values are kept, and digested many at once: before the next of the operators in
// `splitting` (split.h) and at the end. Other launches may run beside a digest, so of memory that
// the graph may write a copy is digested.
//
// Throws c10::Error for a graph without marks, a mark of a scalar, and where padding would lie
// between what is observed: more than one size with a symbol, one that is not a symbol alone, or
// one after a size that is not 1.
DigestedGraph digest_marks(const ir::Graph& graph, const at::Tensor& symbols,
                           const std::vector<std::string>& splitting, int64_t hosted_ranks);

}  // namespace samebits::passes
