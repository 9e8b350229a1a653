#include "harness/graph/replayer.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <utility>

#include "harness/dtensor/dtensor.h"

namespace samebits {
namespace {

// The values that inputs without padding give the graph's symbols.
std::vector<int64_t> symbols_of(const ir::Graph& graph, const std::vector<at::Tensor>& inputs) {
  std::vector<int64_t> symbols(graph.symbols.size());
  for (const ir::SymbolBinding& binding : graph.bindings) {
    symbols[binding.symbol] = inputs[binding.input].size(binding.dim);
  }
  return symbols;
}

// Of the mesh that the graph's weights lie over; 1 without one.
int64_t hosted_ranks(const ir::Graph& graph) {
  for (const ir::Value& value : graph.values) {
    if (!value.constant.defined() || !is_dtensor(value.constant)) continue;
    return static_cast<int64_t>(spec_of(value.constant).mesh->hosted_ranks().size());
  }
  return 1;
}

}  // namespace

Replayer::Replayer(std::string name, CapturedProgram& program, std::vector<BucketedInput> inputs,
                   Buckets buckets, std::shared_ptr<ReplayPool> pool,
                   std::vector<std::string> splitting)
    : name_(std::move(name)),
      program_(program),
      inputs_(std::move(inputs)),
      buckets_(std::move(buckets)),
      pool_(std::move(pool)),
      splitting_(std::move(splitting)) {
  for (const BucketedInput& input : inputs_) is_dynamic_.push_back(input.is_dynamic);
}

void Replayer::set_lowering(Lowering lowering) { lowering_ = std::move(lowering); }

const std::vector<StaticBuffer>& Replayer::buffers_for(int64_t bucket) {
  const auto found = buffers_.find(bucket);
  if (found != buffers_.end()) return found->second;
  std::vector<StaticBuffer> buffers(inputs_.size());
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].is_dynamic) continue;
    std::vector<int64_t> sizes;
    for (const auto& size : inputs_[i].sizes) sizes.push_back(bucket * size.scale + size.more);
    buffers[i] = pool_->make_buffer(fmt::format("static input {} of bucket {}", i, bucket), sizes,
                                    inputs_[i].dtype);
  }
  return buffers_.emplace(bucket, std::move(buffers)).first->second;
}

Replayer::Replay& Replayer::replay_for(const CapturedProgram::Served& served, int64_t bucket,
                                       const std::vector<at::Tensor>& inputs, bool digests) {
  const Key key(served.graph.get(), bucket, digests);
  const auto found = replays_.find(key);
  if (found != replays_.end()) return found->second;
  const std::string name = fmt::format("{}, bucket {}", name_, bucket);
  Replay replay;
  std::shared_ptr<const ir::Graph> graph = served.graph;
  if (digests) {
    replay.symbols = at::zeros({static_cast<int64_t>(served.symbols.size())},
                               inputs.at(0).options().dtype(at::kLong));
    passes::DigestedGraph digested =
        passes::digest_marks(*graph, replay.symbols, splitting_, hosted_ranks(*graph));
    graph = std::make_shared<const ir::Graph>(std::move(digested.graph));
    replay.marks = std::make_shared<const std::vector<passes::Mark>>(std::move(digested.marks));
  }
  if (lowering_) graph = std::make_shared<const ir::Graph>(lowering_(*graph, bucket));
  replay.pieces =
      std::make_unique<BucketReplay>(name, passes::split(graph, splitting_), is_dynamic_, pool_);
  replay.pieces->capture(inputs, served.symbols);
  return replays_.emplace(key, std::move(replay)).first->second;
}

// Only what is new: a copy to a card takes longer than a digest.
void Replayer::write_symbols(Replay& replay, const std::vector<int64_t>& symbols) {
  if (replay.written == symbols) return;
  replay.symbols.copy_(at::tensor(symbols));
  replay.written = symbols;
}

std::vector<at::Tensor> Replayer::run(const std::vector<at::Tensor>& inputs, int64_t tokens,
                                      int64_t rows, ReplayDigests* digests) {
  TORCH_CHECK(inputs.size() == inputs_.size(), name_, ": found ", inputs.size(),
              " inputs, expected ", inputs_.size());
  const int64_t bucket = buckets_.bucket_for(tokens);
  const std::vector<StaticBuffer>& buffers = buffers_for(bucket);
  std::vector<at::Tensor> padded;
  for (size_t i = 0; i < inputs.size(); ++i) {
    padded.push_back(is_dynamic_[i] ? inputs[i].to(pool_->device()) : buffers[i].memory);
  }
  const CapturedProgram::Served served = program_.serve(padded);
  Replay& replay = replay_for(served, bucket, padded, digests != nullptr);
  if (digests != nullptr) {
    digests->marks = replay.marks;
    digests->symbols = symbols_of(*served.graph, inputs);
    write_symbols(replay, digests->symbols);
  }
  std::vector<BufferCopy> copies;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (is_dynamic_[i]) continue;
    copies.push_back({buffers[i], inputs[i], inputs_[i].padding.value_or(tokens)});
  }
  pool_->copy(copies);
  std::vector<at::Tensor> outputs = replay.pieces->run(padded, served.symbols);
  if (digests != nullptr) {
    const auto sums = outputs.begin() + static_cast<std::ptrdiff_t>(served.graph->outputs.size());
    digests->sums = at::cat(std::vector<at::Tensor>(sums, outputs.end()));
    outputs.erase(sums, outputs.end());
  }
  for (at::Tensor& output : outputs) output = output.narrow(0, 0, rows);
  return pool_->read(outputs);
}

int64_t Replayer::captures() const {
  int64_t sum = 0;
  for (const auto& [key, replay] : replays_) sum += replay.pieces->captures();
  return sum;
}

ReplayWitness Replayer::witness() const {
  ReplayWitness sum;
  for (const auto& [key, replay] : replays_) sum += replay.pieces->witness();
  return sum;
}

}  // namespace samebits
