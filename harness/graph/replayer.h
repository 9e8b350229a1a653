#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/capture/tracer.h"
#include "harness/graph/arena.h"
#include "harness/graph/buckets.h"
#include "harness/graph/emulated_graph.h"

namespace samebits {

// One input of a program: static, with a size that follows the bucket, or dynamic (PiecewiseRules).
struct BucketedInput {
  // Of one dimension: bucket * scale + more.
  struct Size {
    int64_t scale;
    int64_t more;
  };
  at::ScalarType dtype;     // int32 or int64
  std::vector<Size> sizes;  // of a dynamic one: any, of its rank
  // What padding holds; none: the number of tokens that are no padding.
  std::optional<int64_t> padding;
  bool is_dynamic = false;
};

// Runs a program from graphs, one a bucket, each captured when it is first needed, all in one pool.
// Inputs are padded to the bucket and padded rows dropped from the outputs, which therefore must
// not depend on them.
class Replayer {
 public:
  // Everything that `program` refers to must outlive the replayer. `name` is for messages.
  // `splitting`: as in PiecewiseRules; none: full graphs.
  Replayer(std::string name, Program program, std::vector<BucketedInput> inputs, Buckets buckets,
           std::shared_ptr<Arena> pool, std::vector<std::string> splitting = {});

  // Inputs for `tokens` tokens, as the program takes them. Returns the caller's own copies of the
  // outputs, the first `rows` rows of each. Errors: Buckets and EmulatedGraph have them.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs, int64_t tokens, int64_t rows);

  int64_t captures() const { return static_cast<int64_t>(graphs_.size()); }
  ReplayWitness witness() const;  // over all graphs

 private:
  EmulatedGraph& graph_for(int64_t bucket);

  std::string name_;
  Program program_;
  std::vector<BucketedInput> inputs_;
  Buckets buckets_;
  std::shared_ptr<Arena> pool_;
  PiecewiseRules rules_;
  std::map<int64_t, std::unique_ptr<EmulatedGraph>> graphs_;  // by bucket
};

}  // namespace samebits
