#include "harness/graph/cuda_replay_graph.h"

#include <c10/core/GradMode.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/base/error.h"
#include "harness/dtensor/dtensor.h"
#include "harness/graph/graph_output.h"
#include "harness/graph/operator_watch.h"
#include "harness/graph/unowned.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

// Of the calling thread's device so far.
int64_t allocations() {
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(c10::cuda::current_device());
  return stats.allocation[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)]
      .allocated;
}

at::Tensor unowned_value(const at::Tensor& value) {
  if (!is_dtensor(value)) return unowned(value);
  Tensors locals;
  for (const at::Tensor& local : locals_of(value)) locals.push_back(unowned(local));
  return make_dtensor(spec_of(value), value.sym_sizes(), value.scalar_type(), std::move(locals));
}

// Notes the tensors that a program takes, and the operator in which it failed.
class CaptureWatch final : public OperatorWatch {
 public:
  explicit CaptureWatch(AddressLedger& ledger) : ledger_(ledger) {}

  void call(const c10::OperatorHandle& op, c10::DispatchKeySet below,
            torch::jit::Stack* stack) override {
    const bool is_outermost = !std::exchange(is_inside_, true);
    if (is_outermost) note_arguments(op, *stack);
    try {
      pass_on(op, below, stack);
    } catch (...) {
      if (is_outermost) failed_ = op.schema().name();
      is_inside_ = !is_outermost;
      throw;
    }
    is_inside_ = !is_outermost;
  }

  // "": none did.
  const std::string& failed() const { return failed_; }

 private:
  void note_arguments(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
    for_each_argument_tensor(op, stack, [&](const at::Tensor& value) {
      for (const at::Tensor& part : plain_parts(value)) {
        if (part.is_cuda() && part.numel() > 0) ledger_.add(part, op.schema().name());
      }
    });
  }

  AddressLedger& ledger_;
  bool is_inside_ = false;
  std::string failed_;
};

}  // namespace

std::function<bool(const void*)> CudaPoolState::membership() const {
  return [this, in_memory = memory->membership()](const void* data) {
    return in_memory(data) || std::any_of(buffers.begin(), buffers.end(), [&](const auto& buffer) {
             const char* begin = static_cast<const char*>(buffer.const_data_ptr());
             return data >= begin && data < begin + buffer.nbytes();
           });
  };
}

CudaReplayGraph::CudaReplayGraph(std::string name, std::shared_ptr<CudaPoolState> pool,
                                 const Program& program, const Tensors& inputs)
    : name_(std::move(name)), pool_(std::move(pool)) {
  const c10::NoGradGuard no_grad;
  adopt_inputs(inputs);
  capture(program, inputs);
  adopt_outputs();
}

void CudaReplayGraph::adopt_inputs(const Tensors& inputs) {
  const auto is_in_pool = pool_->membership();
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (const at::Tensor& part : plain_parts(inputs[i])) {
      if (part.numel() == 0) continue;
      const void* data = part.const_data_ptr();
      TORCH_CHECK(is_in_pool(data), name_, ": input ", i, " is not in the graph's pool");
      inputs_.push_back({i, data, pool_->writes.last(data).who});
    }
  }
}

void CudaReplayGraph::capture(const Program& program, const Tensors& inputs) {
  CaptureWatch watch(ledger_);
  // What was put on the current stream is done before anything of the capture can run.
  c10::cuda::device_synchronize();
  try {
    graph_.emplace(pool_->memory, pool_->stream, [&] {
      const OperatorWatchGuard watching(watch);
      for (const at::Tensor& output : program(inputs)) outputs_.push_back(unowned_value(output));
    });
  } catch (c10::Error& error) {
    if (error.context().empty() && !watch.failed().empty()) error.add_context(watch.failed());
    error.add_context(name_);
    throw;
  }
}

void CudaReplayGraph::adopt_outputs() {
  const auto is_in_pool = pool_->membership();
  const auto is_input = [this](const void* data) {
    return std::any_of(inputs_.begin(), inputs_.end(),
                       [&](const Input& input) { return input.data == data; });
  };
  for (size_t i = 0; i < outputs_.size(); ++i) {
    for (const at::Tensor& part : plain_parts(outputs_[i])) {
      if (part.numel() == 0) continue;
      const void* data = part.const_data_ptr();
      TORCH_CHECK(is_in_pool(data), "output ", i, " of ", name_,
                  ": expected a tensor in the graph's pool");
      if (!is_input(data)) written_.push_back(data);
    }
  }
  ledger_.drop_within(is_in_pool);
  const std::string violation = ledger_.violation();
  TORCH_CHECK(violation.empty(), name_,
              ": memory from outside the pool does not outlive capture: ", violation);
  note_writes();
}

void CudaReplayGraph::note_writes() {
  for (const void* data : written_) pool_->writes.wrote(data, name_);
  epoch_ = pool_->writes.epoch();
}

void CudaReplayGraph::check_inputs() const {
  for (const Input& input : inputs_) {
    const WriteLog::Write& write = pool_->writes.last(input.data);
    if (write.who != input.writer) {
      throw RunError(fmt::format("{}: input {} ({}) is gone: its memory was written since by {}",
                                 name_, input.index, input.writer, write.who));
    }
    if (write.epoch <= epoch_) {
      throw RunError(fmt::format("{}: input {} ({}) was not written since the last replay", name_,
                                 input.index, input.writer));
    }
  }
}

void CudaReplayGraph::launch() {
  CallCounter counter;
  const int64_t before = allocations();
  {
    const OperatorWatchGuard watch(counter);
    graph_->launch();
  }
  ++witness_.replays;
  witness_.launches += graph_->kernels();
  witness_.dispatcher_calls += counter.calls;
  witness_.allocations += allocations() - before;
}

void CudaReplayGraph::replay() {
  check_inputs();
  launch();
  note_writes();
  // Hundreds of addresses, so while the card works. Nobody has read yet what it leaves.
  const std::string violation = ledger_.violation();
  if (!violation.empty()) throw RunError(fmt::format("{}: {}", name_, violation));
}

at::Tensor CudaReplayGraph::output(size_t index) const {
  if (witness_.replays == 0) throw RunError(fmt::format("{} was never replayed", name_));
  return outputs_.at(index);
}

}  // namespace samebits
