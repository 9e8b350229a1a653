#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "harness/capture/captured_program.h"
#include "harness/graph/bucket_replay.h"
#include "harness/graph/buckets.h"
#include "harness/graph/replay_digests.h"
#include "harness/graph/replay_graph.h"

namespace samebits {

// One input of a program: static, with sizes that follow the call's buckets, or dynamic: the step's
// own, for operators between pieces only.
struct BucketedInput {
  // scale * count + more, of one of a call's counts (ReplayCall).
  struct Linear {
    int64_t scale;
    int64_t more;
    size_t count = 0;
  };
  at::ScalarType dtype;       // int32, int64 or float32
  std::vector<Linear> sizes;  // of the buckets; of a dynamic one: not looked at
  Linear padding;             // what it holds, of the counts themselves
  bool is_dynamic = false;
};

// What of a call is padded to buckets, and what of its outputs is none.
struct ReplayCall {
  std::vector<int64_t> counts;  // of tokens and whatever sizes follow, then what padding holds
  std::vector<int64_t> rows;    // of each output; none: outputs are whole
};

// Runs a captured program from replays, one for each of its graphs and each choice of buckets,
// captured when it is first needed, all in one pool. Inputs are padded to the buckets and padded
// rows dropped from the outputs, which therefore must not depend on them. Which graph serves is
// asked with the padded sizes, and with the true ones of dynamic inputs.
class Replayer {
 public:
  // `program` is borrowed; so is everything that it refers to. `name` is for messages. `buckets`:
  // of each of a call's first counts. `splitting`: the operators that run between pieces
  // (passes/split.h); none: full graphs.
  Replayer(std::string name, CapturedProgram& program, std::vector<BucketedInput> inputs,
           std::vector<Buckets> buckets, std::shared_ptr<ReplayPool> pool,
           std::vector<std::string> splitting = {});

  // What is done to every graph, and for which buckets, before it is captured, those with digests
  // included. To be set before the first run.
  using Lowering = std::function<ir::Graph(const ir::Graph&, const std::vector<int64_t>& buckets)>;
  void set_lowering(Lowering lowering);

  // The counts of a call that is padding alone and leaves everything as it is: on a card it is run
  // once, node by node, before a capture. To be set before the first run.
  void set_counts_of_nothing(std::vector<int64_t> counts);

  // Inputs as the program takes them, or still on the CPU. Returns the caller's own copies of the
  // outputs, on the CPU, the call's rows of each. With `digests`, other replays serve: those of the
  // graph that digests what it marks (passes/digest_marks.h). Errors: those of Buckets,
  // CapturedProgram, digest_marks(), the pool and its graphs.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs, const ReplayCall& call,
                              ReplayDigests* digests = nullptr);

  // Whether there are buckets for a call's counts, and which.
  bool holds(const std::vector<int64_t>& counts) const;
  std::vector<int64_t> buckets_for(const std::vector<int64_t>& counts) const;
  int64_t captures() const;       // graphs
  ReplayWitness witness() const;  // over all graphs

 private:
  using Key = std::tuple<const ir::Graph*, std::vector<int64_t>, bool>;  // and whether it digests
  struct Replay {
    std::unique_ptr<BucketReplay> pieces;
    // Of one that digests: what it does, and the symbols as its launches and this host have them.
    std::shared_ptr<const std::vector<passes::Mark>> marks;
    at::Tensor symbols;
    std::vector<int64_t> written;
  };
  const std::vector<StaticBuffer>& buffers_for(const std::vector<int64_t>& buckets);
  Replay& replay_for(const CapturedProgram::Served& served, const std::vector<int64_t>& buckets,
                     const std::vector<at::Tensor>& inputs, bool digests);
  void warm_up(const std::shared_ptr<const ir::Graph>& graph, const std::vector<int64_t>& buckets,
               const std::vector<at::Tensor>& inputs, const std::vector<int64_t>& symbols);
  void write_symbols(Replay& replay, const std::vector<int64_t>& symbols);

  std::string name_;
  CapturedProgram& program_;
  std::vector<BucketedInput> inputs_;
  std::vector<bool> is_dynamic_;
  std::vector<Buckets> buckets_;
  std::shared_ptr<ReplayPool> pool_;
  Lowering lowering_;                       // may be empty
  std::vector<int64_t> counts_of_nothing_;  // likewise
  std::vector<std::string> splitting_;
  // By buckets; of a dynamic input: none.
  std::map<std::vector<int64_t>, std::vector<StaticBuffer>> buffers_;
  std::map<Key, Replay> replays_;
};

}  // namespace samebits
