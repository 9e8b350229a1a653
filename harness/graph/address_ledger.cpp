#include "harness/graph/address_ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

namespace samebits {
namespace {

std::string describe(const at::Tensor& tensor, const std::string& who) {
  std::ostringstream text;
  text << "the " << tensor.scalar_type() << ' ' << tensor.sizes() << " that " << who << " takes";
  return text.str();
}

const void* data_of(const at::Tensor& tensor) {
  return static_cast<const char*>(tensor.storage().data()) +
         tensor.storage_offset() * tensor.element_size();
}

}  // namespace

void AddressLedger::add(const at::Tensor& tensor, const std::string& who) {
  const void* data = data_of(tensor);
  const bool is_known = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.data == data && entry.tensor._unsafe_get_target() == tensor.unsafeGetTensorImpl();
  });
  if (is_known) return;
  entries_.push_back(
      {c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>(tensor.getIntrusivePtr()),
       tensor.storage().getWeakStorageImpl(), data, tensor.storage().data(),
       describe(tensor, who)});
}

void AddressLedger::drop_within(const std::function<bool(const void*)>& is_inside) {
  std::erase_if(entries_, [&](const Entry& entry) { return is_inside(entry.storage_data); });
}

std::string AddressLedger::violation() const {
  for (const Entry& entry : entries_) {
    const auto storage = entry.storage.lock();
    if (!storage) return entry.text + " was freed";
    // A view may be gone while its memory is there; one that lives must still point to it.
    if (const auto impl = entry.tensor.lock()) {
      const at::Tensor tensor{impl};
      if (!tensor.has_storage() || data_of(tensor) != entry.data) return entry.text + " has moved";
    } else if (storage->data() != entry.storage_data) {
      return entry.text + " has moved";
    }
  }
  return {};
}

}  // namespace samebits
