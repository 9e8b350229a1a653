#include "harness/graph/replayer.h"

#include <fmt/format.h>

namespace samebits {

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

BucketReplay& Replayer::replay_for(const CapturedProgram::Served& served, int64_t bucket,
                                   const std::vector<at::Tensor>& inputs) {
  const Key key(served.graph.get(), bucket);
  const auto found = replays_.find(key);
  if (found != replays_.end()) return *found->second;
  auto replay =
      std::make_unique<BucketReplay>(fmt::format("{}, bucket {}", name_, bucket),
                                     passes::split(served.graph, splitting_), is_dynamic_, pool_);
  replay->capture(inputs, served.symbols);
  return *replays_.emplace(key, std::move(replay)).first->second;
}

std::vector<at::Tensor> Replayer::run(const std::vector<at::Tensor>& inputs, int64_t tokens,
                                      int64_t rows) {
  TORCH_CHECK(inputs.size() == inputs_.size(), name_, ": found ", inputs.size(),
              " inputs, expected ", inputs_.size());
  const int64_t bucket = buckets_.bucket_for(tokens);
  const std::vector<StaticBuffer>& buffers = buffers_for(bucket);
  std::vector<at::Tensor> padded;
  for (size_t i = 0; i < inputs.size(); ++i) {
    padded.push_back(is_dynamic_[i] ? inputs[i] : buffers[i].memory);
  }
  const CapturedProgram::Served served = program_.serve(padded);
  BucketReplay& replay = replay_for(served, bucket, padded);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (is_dynamic_[i]) continue;
    pool_->copy(buffers[i], inputs[i], inputs_[i].padding.value_or(tokens));
  }
  std::vector<at::Tensor> outputs = replay.run(padded, served.symbols);
  for (at::Tensor& output : outputs) {
    output = output.narrow(0, 0, rows).clone(at::MemoryFormat::Contiguous);
  }
  return outputs;
}

int64_t Replayer::captures() const {
  int64_t sum = 0;
  for (const auto& [key, replay] : replays_) sum += replay->captures();
  return sum;
}

ReplayWitness Replayer::witness() const {
  ReplayWitness sum;
  for (const auto& [key, replay] : replays_) sum += replay->witness();
  return sum;
}

}  // namespace samebits
