#include "harness/graph/replayer.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <utility>

namespace samebits {

Replayer::Replayer(std::string name, Program program, std::vector<BucketedInput> inputs,
                   Buckets buckets, std::shared_ptr<Arena> pool, std::vector<std::string> splitting)
    : name_(std::move(name)),
      program_(std::move(program)),
      inputs_(std::move(inputs)),
      buckets_(std::move(buckets)),
      pool_(std::move(pool)),
      rules_{std::move(splitting), {}} {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].is_dynamic) rules_.dynamic_inputs.push_back(i);
  }
}

EmulatedGraph& Replayer::graph_for(int64_t bucket) {
  const auto found = graphs_.find(bucket);
  if (found != graphs_.end()) return *found->second;
  std::vector<at::Tensor> examples;
  for (const BucketedInput& input : inputs_) {
    std::vector<int64_t> sizes;
    for (const auto& size : input.sizes) sizes.push_back(bucket * size.scale + size.more);
    examples.push_back(at::empty(sizes, at::TensorOptions().dtype(input.dtype)));
  }
  auto graph = std::make_unique<EmulatedGraph>(fmt::format("{}, bucket {}", name_, bucket), pool_,
                                               program_, examples, rules_);
  return *graphs_.emplace(bucket, std::move(graph)).first->second;
}

std::vector<at::Tensor> Replayer::run(const std::vector<at::Tensor>& inputs, int64_t tokens,
                                      int64_t rows) {
  TORCH_CHECK(inputs.size() == inputs_.size(), name_, ": found ", inputs.size(),
              " inputs, expected ", inputs_.size());
  EmulatedGraph& graph = graph_for(buckets_.bucket_for(tokens));
  for (size_t i = 0; i < inputs.size(); ++i) {
    graph.copy_input(i, inputs[i], inputs_[i].padding.value_or(tokens));
  }
  graph.replay();
  std::vector<at::Tensor> outputs;
  for (size_t i = 0; i < graph.outputs(); ++i) {
    outputs.push_back(graph.output(i).read().narrow(0, 0, rows));
  }
  return outputs;
}

ReplayWitness Replayer::witness() const {
  ReplayWitness sum;
  for (const auto& [bucket, graph] : graphs_) {
    const ReplayWitness& one = graph->witness();
    sum.replays += one.replays;
    sum.launches += one.launches;
    sum.eager_operators += one.eager_operators;
    sum.dispatcher_calls += one.dispatcher_calls;
    sum.allocations += one.allocations;
  }
  return sum;
}

}  // namespace samebits
