#include "harness/plant/planter.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "harness/capture/abstract_call.h"
#include "harness/dispatch/launch.h"
#include "harness/dispatch/operator_traits.h"
#include "harness/dispatch/part_of.h"
#include "harness/dispatch/schema.h"
#include "harness/dtensor/dtensor.h"

namespace samebits {
namespace {

// Runs other operators one by one, each of which is looked at: the stages of a persistent decode,
// the tensors of a list.
bool is_composed_of_others(const std::string& op) {
  return op == "samebits::decode_stages" || op.starts_with("aten::_foreach_");
}

// Marks and digests are the observer's. Memory that somebody is about to fill holds no value.
bool has_no_result(const std::string& op) {
  static const std::set<std::string> kNames = {
      "samebits::mark",  "samebits::digest_sums",   "samebits::digest_rows", "aten::empty_like",
      "aten::new_empty", "aten::new_empty_strided", "aten::empty_strided"};
  return kNames.contains(op);
}

// counted_name(), of names that live as long as the process.
const std::string* counted_operator(const std::string& op) {
  static const std::string kAdd = counted_name("aten::add_");
  return op == "aten::add_" ? &kAdd : &op;
}

struct Arguments {
  bool has_tensor = false;
  bool are_plain = true;  // and hold data of this machine
};

Arguments arguments_of(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  Arguments arguments;
  for_each_argument_tensor(op, stack, [&](const at::Tensor& tensor) {
    arguments.has_tensor = true;
    const bool is_plain =
        !is_dtensor(tensor) && !is_abstract(tensor) && tensor.is_cpu() && tensor.has_storage();
    arguments.are_plain = arguments.are_plain && is_plain;
  });
  return arguments;
}

std::vector<at::Tensor> tensors_of(const c10::IValue& value) {
  if (value.isTensor()) return {value.toTensor()};
  return value.isTensorList() ? value.toTensorVector() : std::vector<at::Tensor>();
}

uint64_t bits_at(const std::byte* data, size_t element_size, int64_t element) {
  uint64_t bits = 0;
  std::memcpy(&bits, data + static_cast<size_t>(element) * element_size, element_size);
  return bits;
}

}  // namespace

void Planter::begin_step(int64_t step) {
  step_ = step;
  calls_.clear();
  program_calls_.clear();
  witness_.reset();
  first_.reset();
}

bool Planter::is_looked_at(const std::string& op) const {
  return !has_no_result(op) && (!fault_.is_planted() || op == fault_.op);
}

// The calls that a mesh makes of its ranks come in their order: whose the next of this operator is,
// counted from the first rank of this process. Null where no mesh stands around it.
int64_t* Planter::next_rank_of(const std::string& op) {
  for (auto open = open_.rbegin(); open != open_.rend(); ++open) {
    if (!open->is_plain) return &open->by_rank[op];
  }
  return nullptr;
}

void Planter::call(const c10::OperatorHandle& op, c10::DispatchKeySet below,
                   torch::jit::Stack* stack) {
  const std::string& name = *counted_operator(op.schema().name());
  const Arguments arguments = arguments_of(op, *stack);
  const bool is_plain =
      arguments.has_tensor && arguments.are_plain && !traits_of(name).is_conversion;
  bool is_outermost = is_plain;
  for (Open& open : open_) {
    if (!open.is_plain || is_composed_of_others(*open.op)) continue;
    // The kernel behind a gradient's formula is called by the operator's own name.
    if (*open.op == name) {
      open.is_composed = true;
    } else {
      is_outermost = false;
    }
  }
  // What belongs to no tensor of the program, and reads none, is no part of a mesh either.
  if (!arguments.has_tensor) {
    pass_on(op, below, stack);
    return;
  }
  const bool is_wanted = is_outermost && is_looked_at(name) && !is_composed_of_others(name);
  const bool is_captured = launch_sink() != nullptr;
  if (open_.empty() && !is_captured) ++program_calls_[{phase_, name}];
  open_.push_back({&name, is_plain});
  const struct Close {
    std::vector<Open>& open;
    ~Close() { open.pop_back(); }
  } close{open_};

  const std::vector<Memory> written = is_wanted ? written_by(op, *stack) : std::vector<Memory>();
  if (!is_wanted || (is_view(op.schema()) && written.empty())) {
    pass_on(op, below, stack);
    return;
  }
  Call here{&name, PartOf::op() == nullptr ? open_.front().op : PartOf::op()};
  if (!is_captured && PartOf::op() == nullptr) {
    here.caller_call = program_calls_[{phase_, *here.caller}] - 1;
  }
  // The frame of this call is the innermost plain one: its mesh stands around it.
  int64_t* rank = next_rank_of(name);
  here.rank = first_rank_ + (rank == nullptr ? 0 : *rank);
  here.is_over_mesh = rank != nullptr;
  here.results = written;
  // Whoever runs a graph lets go of operands at their last use: what computes with them afterwards
  // holds them.
  std::vector<c10::IValue> held;
  if (fault_.kind == FaultKind::kOrder || fault_.kind == FaultKind::kMask) {
    held = torch::jit::last(*stack, op.schema().arguments().size()).vec();
  }
  here.product = product_of(op, *stack);
  here.attention = attention_of(op, *stack);
  if (fault_.kind == FaultKind::kSkip || fault_.kind == FaultKind::kOrder) {
    const Call* call = is_captured ? &captured_.emplace_back(here) : &here;
    launch("planted fault", [this, call] { before(*call); });
  }
  pass_on(op, below, stack);
  if (open_.back().is_composed) return;
  std::vector<Memory> results = returned_by(op, *stack);
  results.insert(results.end(), written.begin(), written.end());
  if (results.empty()) return;
  here.results = std::move(results);
  if (fault_.kind == FaultKind::kSwap && !is_captured) {
    here.held = torch::jit::last(*stack, op.schema().returns().size()).vec();
  }
  if (rank != nullptr) ++*rank;
  const Call* call = is_captured ? &captured_.emplace_back(std::move(here)) : &here;
  launch("planted fault", [this, call] { after(*call); });
}

std::optional<Planter::Product> Planter::product_of(const c10::OperatorHandle& op,
                                                    const torch::jit::Stack& stack) {
  const size_t count = op.schema().arguments().size();
  const std::string& name = op.schema().name();
  const bool is_linear = name == "samebits::linear";
  const bool is_wgrad = name == "samebits::linear_wgrad_";
  if (!is_linear && !is_wgrad && name != "samebits::linear_dgrad") return std::nullopt;
  const at::Tensor& a = torch::jit::peek(stack, 0, count).toTensor();
  const at::Tensor& weight = torch::jit::peek(stack, 1, count).toTensor();
  if (!a.is_contiguous() || !weight.is_contiguous()) return std::nullopt;
  const auto operand = [](const at::Tensor& tensor, int64_t row, int64_t term) {
    return ProductOperand{tensor.const_data_ptr(), tensor.scalar_type() == at::kFloat, row, term};
  };
  const int64_t inputs = weight.size(-1);
  if (is_wgrad) {  // dy and x, whose rows are the terms
    return Product{operand(a, 1, a.size(-1)), operand(weight, 1, inputs), inputs,
                   a.numel() / std::max<int64_t>(a.size(-1), 1)};
  }
  return Product{operand(a, a.size(-1), 1),
                 is_linear ? operand(weight, inputs, 1) : operand(weight, 1, inputs),
                 is_linear ? weight.size(0) : inputs, a.size(-1)};
}

std::optional<AttentionOperands> Planter::attention_of(const c10::OperatorHandle& op,
                                                       const torch::jit::Stack& stack) {
  if (op.schema().name() != "samebits::flash_attention") return std::nullopt;
  const size_t count = op.schema().arguments().size();
  const auto tensor = [&](size_t i) { return torch::jit::peek(stack, i, count).toTensor(); };
  const at::Tensor q = tensor(0);
  const at::Tensor k = tensor(1);
  const at::Tensor v = tensor(2);
  const at::Tensor boundaries = tensor(3);
  const bool is_plain = q.is_contiguous() && k.is_contiguous() && v.is_contiguous() &&
                        boundaries.is_contiguous() && boundaries.scalar_type() == at::kInt;
  if (!is_plain) return std::nullopt;
  return AttentionOperands{q.const_data_ptr(),
                           k.const_data_ptr(),
                           v.const_data_ptr(),
                           boundaries.const_data_ptr<int32_t>(),
                           q.scalar_type() == at::kFloat,
                           boundaries.size(0) - 1,
                           q.size(2),
                           k.size(2),
                           q.size(3),
                           torch::jit::peek(stack, 4, count).toDouble()};
}

std::vector<Planter::Memory> Planter::written_by(const c10::OperatorHandle& op,
                                                 const torch::jit::Stack& stack) {
  const size_t count = op.schema().arguments().size();
  std::vector<Memory> memories;
  for (size_t i = 0; i < count; ++i) {
    if (!is_written(op.schema().arguments()[i])) continue;
    for (const at::Tensor& tensor : tensors_of(torch::jit::peek(stack, i, count))) {
      if (!tensor.defined() || !tensor.is_non_overlapping_and_dense()) continue;
      memories.push_back({static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.numel(),
                          static_cast<size_t>(tensor.element_size()), tensor.is_floating_point(),
                          true});
    }
  }
  return memories;
}

std::vector<Planter::Memory> Planter::returned_by(const c10::OperatorHandle& op,
                                                  const torch::jit::Stack& stack) {
  const size_t count = op.schema().returns().size();
  std::vector<Memory> memories;
  for (size_t i = 0; i < count; ++i) {
    if (written_argument(op.schema(), i)) continue;
    for (const at::Tensor& tensor : tensors_of(torch::jit::peek(stack, i, count))) {
      const bool has_memory = tensor.defined() && !is_dtensor(tensor) && !is_abstract(tensor) &&
                              tensor.is_cpu() && tensor.is_non_overlapping_and_dense();
      if (!has_memory || tensor.numel() == 0) continue;
      memories.push_back({static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.numel(),
                          static_cast<size_t>(tensor.element_size()), tensor.is_floating_point(),
                          false});
    }
  }
  return memories;
}

bool Planter::passes(const std::string& condition, const std::string& guard,
                     const std::string& sizes) {
  const int64_t number = calls_[{phase_, condition, first_rank_}]++;
  if (!fault_.is_planted()) {
    executions_.push_back({.step = step_,
                           .phase = phase_,
                           .op = condition,
                           .call = number,
                           .rank = first_rank_,
                           .is_guard = true});
    return false;
  }
  const bool is_it = fault_.kind == FaultKind::kGuard && is_there() && condition == fault_.op &&
                     number == fault_.call;
  if (is_it) {
    witness_ = FaultWitness{
        .caller = guard + " at " + sizes, .rank = first_rank_, .changed = 1, .after = 1};
  }
  return is_it;
}

void Planter::before(const Call& call) {
  if (!is_there() || call.rank != fault_.rank || calls_of(call) != fault_.call) return;
  saved_.clear();
  for (const Memory& memory : call.results) {
    saved_.emplace_back(memory.data, memory.data + memory.bytes());
  }
}

void Planter::after(const Call& call) {
  const int64_t number = calls_of(call)++;
  if (!fault_.is_planted()) {
    const bool is_of_each_rank = call.is_over_mesh && *call.op == *call.caller;
    Executed executed{step_, phase_, *call.op, number, call.rank, is_of_each_rank, {}};
    for (const Memory& memory : call.results) {
      executed.results.push_back({memory.elements, static_cast<int64_t>(memory.element_size) * 8,
                                  memory.is_float, memory.is_argument});
    }
    executions_.push_back(std::move(executed));
    return;
  }
  const bool is_its = call.rank == fault_.rank;
  const std::optional<Call> first = std::exchange(first_, std::nullopt);
  if (first && call.rank == fault_.rank + 1) swap(*first, call);
  if (is_there() && number == fault_.call && is_its) plant(call);
  if (fault_.kind != FaultKind::kStale || !is_its) return;
  const auto output = static_cast<size_t>(fault_.output);
  if (output >= call.results.size()) return;
  const Memory& memory = call.results[output];
  last_.assign(memory.data, memory.data + memory.bytes());
}

void Planter::plant(const Call& call) {
  const auto output = static_cast<size_t>(fault_.output);
  if (output >= call.results.size()) return;
  const Memory& memory = call.results[output];
  switch (fault_.kind) {
    case FaultKind::kNone:
    case FaultKind::kGuard:  // of no call
      break;
    case FaultKind::kFlip: {
      const int64_t element_bits = static_cast<int64_t>(memory.element_size) * 8;
      if (fault_.element >= memory.elements || fault_.bit >= element_bits) return;
      change(call, memory, [&] {
        memory.data[static_cast<size_t>(fault_.element) * memory.element_size +
                    static_cast<size_t>(fault_.bit / 8)] ^= std::byte{1} << (fault_.bit % 8);
      });
      break;
    }
    case FaultKind::kStale:
      if (last_.size() != memory.bytes()) return;
      change(call, memory, [&] { std::memcpy(memory.data, last_.data(), last_.size()); });
      break;
    case FaultKind::kSkip: {
      // Behind what is returned stand the written arguments, in their order. What is told is the
      // first of them that had changed.
      size_t next = 0;
      std::optional<FaultWitness> first;
      for (const Memory& each : call.results) {
        if (!each.is_argument) continue;
        const std::vector<std::byte>& saved = saved_[next++];
        change(call, each, [&] { std::memcpy(each.data, saved.data(), saved.size()); });
        if (!first || first->changed == 0) first = witness_;
      }
      witness_ = std::move(first);
      break;
    }
    case FaultKind::kOrder: {
      if (!call.product) return;
      const Product& product = *call.product;
      change(call, memory, [&] {
        reversed_product(product.a, product.b, memory.elements / product.columns, product.columns,
                         product.terms, memory.data, memory.element_size == sizeof(float));
        if (!memory.is_argument) return;  // else it is added to what was there
        auto* sums = reinterpret_cast<float*>(memory.data);
        const auto* before = reinterpret_cast<const float*>(saved_[0].data());
        for (int64_t i = 0; i < memory.elements; ++i) sums[i] += before[i];
      });
      break;
    }
    case FaultKind::kMask:
      if (!call.attention) return;
      change(call, memory, [&] { unmasked_attention(*call.attention, memory.data); });
      break;
    case FaultKind::kSwap:
      first_ = call;
      break;
  }
}

// The execution that comes next belongs to the same call over the mesh: what the one rank has then
// is still the program's.
void Planter::swap(const Call& first, const Call& second) {
  const auto output = static_cast<size_t>(fault_.output);
  if (output >= second.results.size()) return;
  const Memory& memory = second.results[output];
  const Memory& other = first.results[output];
  if (other.bytes() != memory.bytes()) return;
  change(second, memory,
         [&] { std::swap_ranges(memory.data, memory.data + memory.bytes(), other.data); });
}

template <typename Change>
void Planter::change(const Call& call, const Memory& memory, const Change& how) {
  const std::vector<std::byte> was(memory.data, memory.data + memory.bytes());
  how();
  FaultWitness witness{*call.caller, call.caller_call, call.rank, 0, fault_.element, 0, 0};
  if (witness.element >= memory.elements) witness.element = 0;
  for (int64_t i = memory.elements - 1; i >= 0; --i) {
    if (bits_at(was.data(), memory.element_size, i) == bits_at(memory.data, memory.element_size, i))
      continue;
    ++witness.changed;
    witness.element = i;
  }
  witness.before = bits_at(was.data(), memory.element_size, witness.element);
  witness.after = bits_at(memory.data, memory.element_size, witness.element);
  witness_ = witness;
}

}  // namespace samebits
