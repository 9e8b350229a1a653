#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <c10/core/StorageImpl.h>
#include <c10/util/intrusive_ptr.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/observe/computation.h"

namespace samebits {

// Remembers the calls of a program, so that the computation of one of its values can be told. It
// holds the arguments of every call whose result is still in use, and a copy of each argument from
// before it was written: the memory of a training step's, and more. What a thread captures it lets
// pass.
class ComputationRecorder {
 public:
  // Runs a call whose arguments are on top of `stack`, as DispatchMode::call is asked to.
  void call(const c10::OperatorHandle& op, torch::jit::Stack* stack);

  // The calls of an operator are numbered from here on.
  void begin_phase() { counts_.clear(); }

  // A value that is observed: what is computed of it begins with it. One that is named by the
  // memory in which it lies, as weights are, is named at whatever time it is observed.
  void name_value(const at::Tensor& value, const std::string& site);
  void name_memory(const at::Tensor& value, const std::string& site);

  Computation computation_of(const at::Tensor& value, const std::string& site) const;

  // Gives the weights among its values their sites.
  void name_weights(Computation& computation) const;

 private:
  struct Node;
  struct Made {  // a value by the call that made it
    std::shared_ptr<const Node> node;
    size_t output = 0;
  };
  struct Input {
    std::string name;
    at::Tensor tensor;
    std::optional<Made> made;
    std::string site;
    const void* memory;  // where it lay
    std::vector<Computation::Write> writes = {};
  };
  struct Node {
    int64_t number;
    int64_t number_of_operator;  // in its phase
    c10::OperatorHandle op;
    std::vector<c10::IValue> args;
    std::vector<Input> inputs;
    bool is_over_mesh = false;
  };
  template <typename Impl, typename T>
  struct Noted {
    c10::weak_intrusive_ptr<Impl> of;  // keeps the address from being anybody else's
    T what;
  };
  template <typename Impl, typename T>
  using Notes = std::map<const Impl*, Noted<Impl, T>>;

  std::shared_ptr<Node> node_of(const c10::OperatorHandle& op, c10::ArrayRef<c10::IValue> args);
  void keep_as_it_is(const at::Tensor& tensor);
  std::optional<Made> maker_of(const at::Tensor& tensor) const;
  std::string site_of(const at::Tensor& tensor) const;
  void note_made(const at::Tensor& tensor, const Made& made, bool is_written);
  void note_write(const Node& node, const at::Tensor& cache);
  void forget_the_dead();

  int64_t calls_ = 0;
  std::map<std::string, int64_t> counts_;  // of this phase, by operator
  std::vector<std::weak_ptr<Node>> nodes_;
  Notes<c10::TensorImpl, Made> made_;
  Notes<c10::StorageImpl, Made> written_;  // by the last call that wrote there
  Notes<c10::TensorImpl, std::string> sites_;
  std::map<const void*, std::string> sites_of_memory_;
  std::map<const void*, std::vector<Computation::Write>> writes_;  // by the cache's memory
};

}  // namespace samebits
