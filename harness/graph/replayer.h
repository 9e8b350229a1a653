#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "harness/capture/captured_program.h"
#include "harness/graph/bucket_replay.h"
#include "harness/graph/buckets.h"
#include "harness/graph/replay_digests.h"
#include "harness/graph/replay_graph.h"

namespace samebits {

// One input of a program: static, with a size that follows the bucket, or dynamic: the step's own,
// for operators between pieces only.
struct BucketedInput {
  // Of one dimension: bucket * scale + more.
  struct Size {
    int64_t scale;
    int64_t more;
  };
  at::ScalarType dtype;     // int32 or int64
  std::vector<Size> sizes;  // of a dynamic one: not looked at
  // What padding holds; none: the number of tokens that are no padding.
  std::optional<int64_t> padding;
  bool is_dynamic = false;
};

// Runs a captured program from replays, one for each of its graphs and each bucket, captured when
// it is first needed, all in one pool. Inputs are padded to the bucket and padded rows dropped from
// the outputs, which therefore must not depend on them. Which graph serves is asked with the padded
// sizes, and with the true ones of dynamic inputs.
class Replayer {
 public:
  // `program` is borrowed; so is everything that it refers to. `name` is for messages. `splitting`:
  // the operators that run between pieces (passes/split.h); none: full graphs.
  Replayer(std::string name, CapturedProgram& program, std::vector<BucketedInput> inputs,
           Buckets buckets, std::shared_ptr<ReplayPool> pool,
           std::vector<std::string> splitting = {});

  // What is done to every graph, and for which bucket, before it is captured, those with digests
  // included. To be set before the first run.
  using Lowering = std::function<ir::Graph(const ir::Graph&, int64_t bucket)>;
  void set_lowering(Lowering lowering);

  // Inputs for `tokens` tokens, as the program takes them, or still on the CPU. Returns the
  // caller's own copies of the outputs, on the CPU, the first `rows` rows of each. With `digests`,
  // other replays serve: those of the graph that digests what it marks (passes/digest_marks.h).
  // Errors: those of Buckets, CapturedProgram, digest_marks(), the pool and its graphs.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs, int64_t tokens, int64_t rows,
                              ReplayDigests* digests = nullptr);

  const Buckets& buckets() const { return buckets_; }
  int64_t captures() const;       // graphs
  ReplayWitness witness() const;  // over all graphs

 private:
  using Key = std::tuple<const ir::Graph*, int64_t, bool>;  // bucket, and whether it digests
  struct Replay {
    std::unique_ptr<BucketReplay> pieces;
    // Of one that digests: what it does, and the symbols as its launches and this host have them.
    std::shared_ptr<const std::vector<passes::Mark>> marks;
    at::Tensor symbols;
    std::vector<int64_t> written;
  };
  const std::vector<StaticBuffer>& buffers_for(int64_t bucket);
  Replay& replay_for(const CapturedProgram::Served& served, int64_t bucket,
                     const std::vector<at::Tensor>& inputs, bool digests);
  void write_symbols(Replay& replay, const std::vector<int64_t>& symbols);

  std::string name_;
  CapturedProgram& program_;
  std::vector<BucketedInput> inputs_;
  std::vector<bool> is_dynamic_;
  Buckets buckets_;
  std::shared_ptr<ReplayPool> pool_;
  Lowering lowering_;  // may be empty
  std::vector<std::string> splitting_;
  std::map<int64_t, std::vector<StaticBuffer>> buffers_;  // by bucket; of a dynamic input: none
  std::map<Key, Replay> replays_;
};

}  // namespace samebits
