#include "harness/graph/replayer.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "harness/capture/executor.h"
#include "harness/dtensor/dtensor.h"
#include "harness/graph/operator_watch.h"

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

// For messages: " of bucket 8, 4", or "".
std::string of_buckets(const std::vector<int64_t>& buckets, const char* before) {
  return buckets.empty() ? "" : fmt::format("{} bucket {}", before, fmt::join(buckets, ", "));
}

int64_t value_of(const BucketedInput::Linear& linear, const std::vector<int64_t>& counts) {
  if (linear.scale == 0) return linear.more;
  return linear.scale * counts.at(linear.count) + linear.more;
}

}  // namespace

Replayer::Replayer(std::string name, CapturedProgram& program, std::vector<BucketedInput> inputs,
                   std::vector<Buckets> buckets, std::shared_ptr<ReplayPool> pool,
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

void Replayer::set_counts_of_nothing(std::vector<int64_t> counts) {
  counts_of_nothing_ = std::move(counts);
}

bool Replayer::holds(const std::vector<int64_t>& counts) const {
  bool holds = true;
  for (size_t i = 0; i < buckets_.size(); ++i) holds = holds && buckets_[i].holds(counts.at(i));
  return holds;
}

std::vector<int64_t> Replayer::buckets_for(const std::vector<int64_t>& counts) const {
  std::vector<int64_t> buckets;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    buckets.push_back(buckets_[i].bucket_for(counts.at(i)));
  }
  return buckets;
}

const std::vector<StaticBuffer>& Replayer::buffers_for(const std::vector<int64_t>& buckets) {
  const auto found = buffers_.find(buckets);
  if (found != buffers_.end()) return found->second;
  std::vector<StaticBuffer> buffers(inputs_.size());
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].is_dynamic) continue;
    std::vector<int64_t> sizes;
    for (const auto& size : inputs_[i].sizes) sizes.push_back(value_of(size, buckets));
    const std::string name = fmt::format("static input {}{}", i, of_buckets(buckets, " of"));
    buffers[i] = pool_->make_buffer(name, sizes, inputs_[i].dtype);
  }
  return buffers_.emplace(buckets, std::move(buffers)).first->second;
}

Replayer::Replay& Replayer::replay_for(const CapturedProgram::Served& served,
                                       const std::vector<int64_t>& buckets,
                                       const std::vector<at::Tensor>& inputs, bool digests) {
  const Key key(served.graph.get(), buckets, digests);
  const auto found = replays_.find(key);
  if (found != replays_.end()) return found->second;
  const std::string name = name_ + of_buckets(buckets, ",");
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
  if (lowering_) graph = std::make_shared<const ir::Graph>(lowering_(*graph, buckets));
  replay.pieces =
      std::make_unique<BucketReplay>(name, passes::split(graph, splitting_), is_dynamic_, pool_);
  warm_up(graph, buckets, inputs, served.symbols);
  replay.pieces->capture(inputs, served.symbols);
  return replays_.emplace(key, std::move(replay)).first->second;
}

// A card picks the fastest of equal algorithms for a product when it first meets it, which it cannot
// do while it captures.
void Replayer::warm_up(const std::shared_ptr<const ir::Graph>& graph,
                       const std::vector<int64_t>& buckets, const std::vector<at::Tensor>& inputs,
                       const std::vector<int64_t>& symbols) {
  if (counts_of_nothing_.empty() || !pool_->device().is_cuda()) return;
  const std::vector<StaticBuffer>& buffers = buffers_for(buckets);
  std::vector<BufferCopy> copies;
  for (size_t i = 0; i < buffers.size(); ++i) {
    const at::Tensor& memory = buffers[i].memory;
    copies.push_back({buffers[i],
                      at::full(memory.sizes(), value_of(inputs_[i].padding, counts_of_nothing_),
                               memory.options().device(at::kCPU)),
                      {}});
  }
  pool_->copy(copies);
  const c10::NoGradGuard no_grad;
  Executor(graph).run(inputs, symbols);
}

// Only what is new: a copy to a card takes longer than a digest.
void Replayer::write_symbols(Replay& replay, const std::vector<int64_t>& symbols) {
  if (replay.written == symbols) return;
  const OperatorWatchPause pause;  // who observes asks for it, not the program
  replay.symbols.copy_(at::tensor(symbols));
  replay.written = symbols;
}

std::vector<at::Tensor> Replayer::run(const std::vector<at::Tensor>& inputs, const ReplayCall& call,
                                      ReplayDigests* digests) {
  TORCH_CHECK(inputs.size() == inputs_.size(), name_, ": found ", inputs.size(),
              " inputs, expected ", inputs_.size());
  const std::vector<int64_t> buckets = buckets_for(call.counts);
  const std::vector<StaticBuffer>& buffers = buffers_for(buckets);
  std::vector<at::Tensor> padded;
  for (size_t i = 0; i < inputs.size(); ++i) {
    padded.push_back(is_dynamic_[i] ? inputs[i].to(pool_->device()) : buffers[i].memory);
  }
  const CapturedProgram::Served served = program_.serve(padded);
  Replay& replay = replay_for(served, buckets, padded, digests != nullptr);
  if (digests != nullptr) {
    digests->marks = replay.marks;
    digests->symbols = symbols_of(*served.graph, inputs);
    write_symbols(replay, digests->symbols);
  }
  std::vector<BufferCopy> copies;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (is_dynamic_[i]) continue;
    copies.push_back({buffers[i], inputs[i], value_of(inputs_[i].padding, call.counts)});
  }
  pool_->copy(copies);
  std::vector<at::Tensor> outputs = replay.pieces->run(padded, served.symbols);
  if (digests != nullptr) {
    const OperatorWatchPause pause;
    const auto sums = outputs.begin() + static_cast<std::ptrdiff_t>(served.graph->outputs.size());
    digests->sums = at::cat(std::vector<at::Tensor>(sums, outputs.end()));
    outputs.erase(sums, outputs.end());
  }
  for (size_t i = 0; i < call.rows.size(); ++i) {
    outputs.at(i) = outputs.at(i).narrow(0, 0, call.rows[i]);
  }
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
