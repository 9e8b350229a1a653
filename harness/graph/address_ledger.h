#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace samebits {

// The tensors that a captured graph reads or writes by address and does not own: parameters,
// caches, tables, inputs that were not made static. Holds none of them alive.
class AddressLedger {
 public:
  // Notes where `tensor` is, once; `who`: the operator that takes it.
  void add(const at::Tensor& tensor, const std::string& who);

  // Drops the tensors of storages that begin where `is_inside` says.
  void drop_within(const std::function<bool(const void*)>& is_inside);

  // Which one has moved or died since, or "".
  std::string violation() const;

  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl> tensor;
    c10::weak_intrusive_ptr<c10::StorageImpl> storage;
    const void* data;          // of the tensor
    const void* storage_data;  // of its storage
    std::string text;          // for a person
  };
  std::vector<Entry> entries_;
};

}  // namespace samebits
