#include "harness/graph/emulated_graph.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "harness/core/error.h"
#include "harness/graph/arena_allocator.h"
#include "harness/graph/capture_rules.h"
#include "harness/graph/operator_watch.h"

namespace samebits {
namespace {

class CallCounter final : public OperatorWatch {
 public:
  void call(const c10::OperatorHandle& op, c10::DispatchKeySet below,
            torch::jit::Stack* stack) override {
    ++calls;
    op.redispatchBoxed(below, stack);
  }
  int64_t calls = 0;
};

// The box of `from`'s sizes at the beginning of `to`; both contiguous.
void copy_box(char* to, at::IntArrayRef to_sizes, const char* from, at::IntArrayRef from_sizes,
              size_t element) {
  if (to_sizes.empty() || to_sizes.slice(1) == from_sizes.slice(1)) {
    std::memcpy(to, from, c10::multiply_integers(from_sizes) * element);
    return;
  }
  const size_t to_bytes = c10::multiply_integers(to_sizes.slice(1)) * element;
  const size_t from_bytes = c10::multiply_integers(from_sizes.slice(1)) * element;
  for (int64_t i = 0; i < from_sizes[0]; ++i) {
    copy_box(to + i * to_bytes, to_sizes.slice(1), from + i * from_bytes, from_sizes.slice(1),
             element);
  }
}

void fill(const at::Tensor& to, int64_t value) {
  if (to.scalar_type() == at::kLong) {
    std::fill_n(to.mutable_data_ptr<int64_t>(), to.numel(), value);
  } else {
    TORCH_CHECK(to.scalar_type() == at::kInt, "padding of a static input: found dtype ",
                to.scalar_type(), ", expected int32 or int64");
    std::fill_n(to.mutable_data_ptr<int32_t>(), to.numel(), static_cast<int32_t>(value));
  }
}

}  // namespace

at::Tensor GraphOutput::view() const {
  const Arena::Block& block = pool_->block(block_);
  if (block.epoch != epoch_) {
    throw RunError(
        fmt::format("{} is gone: its memory was written since by {}", name_, block.writer));
  }
  return at::from_blob(data_, sizes_, strides_, at::TensorOptions().dtype(dtype_));
}

at::Tensor GraphOutput::read() const { return view().clone(at::MemoryFormat::Contiguous); }

class EmulatedGraph::Recorder final : public LaunchSink {
 public:
  explicit Recorder(std::vector<Piece>& pieces) : pieces_(pieces) {}
  void add(const char* name, std::function<void()> body) override {
    pieces_.back().launches.push_back({name, std::move(body)});
  }

 private:
  std::vector<Piece>& pieces_;
};

EmulatedGraph::EmulatedGraph(std::string name, std::shared_ptr<Arena> pool, const Program& program,
                             const std::vector<at::Tensor>& examples, const PiecewiseRules& rules)
    : name_(std::move(name)),
      pool_(std::move(pool)),
      values_(examples.size()),
      is_static_(examples.size(), true),
      is_copied_(examples.size(), false),
      pieces_(1) {
  const c10::NoGradGuard no_grad;
  for (const size_t index : rules.dynamic_inputs) is_static_.at(index) = false;
  pool_->take_allocated();
  pool_->take_host_writes({});
  make_inputs(examples);
  adopt_outputs(capture(program, rules));
}

void EmulatedGraph::make_inputs(const std::vector<at::Tensor>& examples) {
  ArenaGuard memory(pool_);
  for (size_t i = 0; i < examples.size(); ++i) {
    TORCH_CHECK(examples[i].numel() > 0, name_, ": input ", i, " has no elements");
    memory.set_who(fmt::format("input {} of {}", i, name_));
    inputs_.push_back(
        at::empty(examples[i].sizes(), at::TensorOptions().dtype(examples[i].scalar_type())));
    input_blocks_.push_back(pool_->block_of(inputs_.back().const_data_ptr()));
  }
}

std::vector<at::Tensor> EmulatedGraph::capture(const Program& program,
                                               const PiecewiseRules& rules) {
  CaptureRules::Splitting splitting{
      rules.splitting, {}, [this](const auto& op, auto* stack) { split(op, stack); }};
  for (const size_t index : rules.dynamic_inputs) splitting.inputs.push_back(inputs_[index]);
  ArenaGuard memory(pool_);
  CaptureRules watched(*pool_, memory, ledger_, std::move(splitting));
  Recorder recorder(pieces_);
  const LaunchCaptureGuard launches(recorder);
  const OperatorWatchGuard watch(watched);
  return program(inputs_);
}

void EmulatedGraph::split(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const size_t count = op.schema().arguments().size();
  const at::Tensor first = (*stack)[stack->size() - count].toTensor();
  const at::Tensor result = at::empty_like(first, {}, at::MemoryFormat::Contiguous);
  pieces_.back().then.emplace(op, *stack, inputs_, is_static_, *pool_, result);
  pieces_.emplace_back();
  torch::jit::drop(*stack, count);
  stack->emplace_back(result);
}

void EmulatedGraph::adopt_outputs(const std::vector<at::Tensor>& outputs) {
  blocks_ = pool_->take_allocated();
  const std::string host_write = pool_->take_host_writes(blocks_);
  TORCH_CHECK(host_write.empty(),
              "CUDA error: operation not permitted when stream is capturing: the host wrote into "
              "memory of ",
              host_write);
  std::erase_if(blocks_, [this](size_t block) {
    return std::find(input_blocks_.begin(), input_blocks_.end(), block) != input_blocks_.end();
  });
  for (size_t i = 0; i < outputs.size(); ++i) {
    const at::Tensor& tensor = outputs[i];
    GraphOutput output;
    output.name_ = fmt::format("output {} of {}", i, name_);
    TORCH_CHECK(tensor.has_storage() && tensor.numel() > 0 &&
                    pool_->contains(tensor.const_data_ptr()),
                output.name_, ": expected a plain tensor with elements, in the graph's pool");
    output.pool_ = pool_;
    output.data_ = const_cast<void*>(tensor.const_data_ptr());
    output.block_ = pool_->block_of(output.data_);
    output.sizes_ = tensor.sizes().vec();
    output.strides_ = tensor.strides().vec();
    output.dtype_ = tensor.scalar_type();
    outputs_.push_back(std::move(output));
  }
  const std::string violation = ledger_.violation();
  TORCH_CHECK(violation.empty(), name_, ": memory from outside the pool does not outlive capture: ",
              violation);
}

void EmulatedGraph::copy_input(size_t index, const at::Tensor& value,
                               std::optional<int64_t> padding) {
  if (!is_static_.at(index)) {
    values_[index] = value;
    is_copied_[index] = true;
    return;
  }
  const at::Tensor& to = inputs_[index];
  bool fits = value.scalar_type() == to.scalar_type() && value.dim() == to.dim();
  for (int64_t d = 0; fits && d < to.dim(); ++d) fits = value.size(d) <= to.size(d);
  TORCH_CHECK(fits, name_, ": static input ", index, " is ", to.scalar_type(), " ", to.sizes(),
              ", found ", value.scalar_type(), " ", value.sizes());
  if (padding) {
    fill(to, *padding);
  } else {
    pool_->poison(input_blocks_[index]);
  }
  const at::Tensor from = value.contiguous();
  copy_box(static_cast<char*>(to.mutable_data_ptr()), to.sizes(),
           static_cast<const char*>(from.const_data_ptr()), from.sizes(), to.element_size());
  pool_->wrote(input_blocks_[index], fmt::format("an input copied for {}", name_),
               pool_->next_epoch());
  is_copied_[index] = true;
}

void EmulatedGraph::check_before() const {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (!is_copied_[i]) {
      throw RunError(fmt::format("{}: input {} was not copied since the last replay", name_, i));
    }
  }
  const std::string violation = ledger_.violation();
  if (!violation.empty()) throw RunError(fmt::format("{}: {}", name_, violation));
}

void EmulatedGraph::replay() {
  check_before();
  for (const size_t block : blocks_) pool_->poison(block);
  const int64_t epoch = pool_->next_epoch();
  const auto own = [&](const std::vector<size_t>& blocks) {
    for (const size_t block : blocks) pool_->wrote(block, name_, epoch);
  };
  own(blocks_);
  own(input_blocks_);
  for (GraphOutput& output : outputs_) output.epoch_ = epoch;
  is_copied_.assign(is_copied_.size(), false);

  for (const Piece& piece : pieces_) {
    run(piece);
    if (!piece.then) continue;
    piece.then->run(values_);
    ++witness_.eager_operators;
  }
  ++witness_.replays;
  values_.assign(values_.size(), at::Tensor());
  check_after();
}

void EmulatedGraph::run(const Piece& piece) {
  CallCounter counter;
  const int64_t allocations = tensor_allocations();
  {
    const OperatorWatchGuard watch(counter);
    for (const Launch& each : piece.launches) {
      try {
        each.body();
      } catch (c10::Error& error) {
        error.add_context(fmt::format("{}, launch of {}", name_, each.name));
        throw;
      }
    }
  }
  witness_.launches += static_cast<int64_t>(piece.launches.size());
  witness_.dispatcher_calls += counter.calls;
  witness_.allocations += tensor_allocations() - allocations;
}

size_t EmulatedGraph::launches() const {
  size_t sum = 0;
  for (const Piece& piece : pieces_) sum += piece.launches.size();
  return sum;
}

void EmulatedGraph::check_after() const {
  for (const auto* blocks : {&blocks_, &input_blocks_}) {
    for (const size_t block : *blocks) {
      const std::string damage = pool_->redzone_damage(block);
      if (!damage.empty()) throw RunError(fmt::format("{}: {}", name_, damage));
    }
  }
  for (const GraphOutput& output : outputs_) {
    const Arena::Block& block = pool_->block(output.block_);
    if (pool_->is_poison(pool_->data(output.block_), block.bytes)) {
      throw RunError(fmt::format("{} was never written by a launch", output.name_));
    }
  }
}

GraphOutput EmulatedGraph::output(size_t index) const {
  if (witness_.replays == 0) throw RunError(fmt::format("{} was never replayed", name_));
  return outputs_.at(index);
}

}  // namespace samebits
