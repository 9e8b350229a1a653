#include "harness/graph/emulated_graph.h"

#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <utility>

#include "harness/base/error.h"
#include "harness/dispatch/launch.h"
#include "harness/graph/arena_allocator.h"
#include "harness/graph/capture_rules.h"
#include "harness/graph/operator_watch.h"

namespace samebits {

class EmulatedGraph::Recorder final : public LaunchSink {
 public:
  explicit Recorder(std::vector<Launch>& launches) : launches_(launches) {}
  void add(const char* name, std::function<void()> body) override {
    launches_.push_back({name, std::move(body)});
  }

 private:
  std::vector<Launch>& launches_;
};

EmulatedGraph::EmulatedGraph(std::string name, std::shared_ptr<Arena> arena, const Program& program,
                             const std::vector<at::Tensor>& inputs)
    : name_(std::move(name)), arena_(std::move(arena)) {
  const c10::NoGradGuard no_grad;
  adopt_inputs(inputs);
  arena_->take_allocated();
  arena_->take_host_writes({});
  adopt_outputs(capture(program, inputs));
}

void EmulatedGraph::adopt_inputs(const std::vector<at::Tensor>& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (const at::Tensor& part : plain_parts(inputs[i])) {
      if (part.numel() == 0) continue;
      TORCH_CHECK(part.has_storage() && arena_->contains(part.const_data_ptr()), name_, ": input ",
                  i, " is not in the graph's pool");
      const size_t block = arena_->block_of(part.const_data_ptr());
      inputs_.push_back({i, block, arena_->block(block).writer});
    }
  }
}

std::vector<at::Tensor> EmulatedGraph::capture(const Program& program,
                                               const std::vector<at::Tensor>& inputs) {
  ArenaGuard memory(arena_);
  CaptureRules rules(*arena_, memory, ledger_);
  Recorder recorder(launches_);
  const LaunchCaptureGuard launches(recorder);
  const OperatorWatchGuard watch(rules);
  return program(inputs);
}

void EmulatedGraph::adopt_outputs(const std::vector<at::Tensor>& outputs) {
  blocks_ = arena_->take_allocated();
  const std::string host_write = arena_->take_host_writes(blocks_);
  TORCH_CHECK(host_write.empty(),
              "CUDA error: operation not permitted when stream is capturing: the host wrote into "
              "memory of ",
              host_write);
  epoch_ = arena_->next_epoch();
  for (const size_t block : blocks_) arena_->wrote(block, name_, epoch_);
  for (size_t i = 0; i < outputs.size(); ++i) {
    outputs_.emplace_back(fmt::format("output {} of {}", i, name_), arena_, outputs[i]);
  }
  const std::string violation = ledger_.violation();
  TORCH_CHECK(violation.empty(), name_, ": memory from outside the pool does not outlive capture: ",
              violation);
}

void EmulatedGraph::check_before() const {
  for (const Input& input : inputs_) {
    const Arena::Block& block = arena_->block(input.block);
    if (block.writer != input.writer) {
      throw RunError(fmt::format("{}: input {} ({}) is gone: its memory was written since by {}",
                                 name_, input.index, input.writer, block.writer));
    }
    if (block.epoch <= epoch_) {
      throw RunError(fmt::format("{}: input {} ({}) was not written since the last replay", name_,
                                 input.index, input.writer));
    }
  }
  const std::string violation = ledger_.violation();
  if (!violation.empty()) throw RunError(fmt::format("{}: {}", name_, violation));
}

void EmulatedGraph::replay() {
  check_before();
  epoch_ = arena_->next_epoch();
  for (const size_t block : blocks_) {
    arena_->poison(block);
    arena_->wrote(block, name_, epoch_);
  }
  for (GraphOutput& output : outputs_) output.renew();
  run_launches();
  ++witness_.replays;
  check_after();
}

void EmulatedGraph::run_launches() {
  CallCounter counter;
  const int64_t allocations = tensor_allocations();
  {
    const OperatorWatchGuard watch(counter);
    for (const Launch& each : launches_) {
      try {
        each.body();
      } catch (c10::Error& error) {
        error.add_context(fmt::format("{}, launch of {}", name_, each.name));
        throw;
      }
    }
  }
  witness_.launches += static_cast<int64_t>(launches_.size());
  witness_.dispatcher_calls += counter.calls;
  witness_.allocations += tensor_allocations() - allocations;
}

void EmulatedGraph::check_after() const {
  const auto check = [this](size_t block) {
    const std::string damage = arena_->redzone_damage(block);
    if (!damage.empty()) throw RunError(fmt::format("{}: {}", name_, damage));
  };
  for (const size_t block : blocks_) check(block);
  for (const Input& input : inputs_) check(input.block);
  for (const GraphOutput& output : outputs_) output.check_written();
}

GraphOutput EmulatedGraph::reference(size_t index) const {
  if (witness_.replays == 0) throw RunError(fmt::format("{} was never replayed", name_));
  return outputs_.at(index);
}

}  // namespace samebits
