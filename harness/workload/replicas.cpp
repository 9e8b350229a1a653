#include "harness/workload/replicas.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/dtensor/dtensor.h"

namespace samebits {
namespace {

// Small tensors are summed together: an exchange costs more than their bytes.
constexpr int64_t kTogetherBytes = int64_t{4} << 20;

std::vector<at::Tensor> plain_parts(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> parts;
  for (const at::Tensor& tensor : tensors) {
    if (is_dtensor(tensor)) {
      parts.insert(parts.end(), locals_of(tensor).begin(), locals_of(tensor).end());
    } else {
      parts.push_back(tensor);
    }
  }
  return parts;
}

}  // namespace

Replicas::Replicas(std::unique_ptr<Transport> transport) {
  if (transport) communicator_ = std::make_unique<ProcessCommunicator>(std::move(transport));
}

std::pair<int64_t, int64_t> Replicas::share_of(int64_t n) const {
  return {index() * n / size(), (index() + 1) * n / size()};
}

std::vector<uint8_t> Replicas::gather_bytes(const void* data, size_t bytes) const {
  const at::Tensor mine =
      at::from_blob(const_cast<void*>(data), {static_cast<int64_t>(bytes)}, at::kByte);
  const at::Tensor sizes =
      communicator_->all_gather({at::tensor({mine.numel()})}, /*dim=*/0, size())[0];
  int64_t longest = 0;
  for (int64_t i = 0; i < size(); ++i) longest = std::max(longest, sizes[i].item<int64_t>());
  at::Tensor padded = at::zeros({1, longest}, at::kByte);
  padded[0].narrow(0, 0, mine.numel()).copy_(mine);
  const at::Tensor all = communicator_->all_gather({padded}, /*dim=*/0, size())[0];
  std::vector<uint8_t> bytes_of_all;
  for (int64_t i = 0; i < size(); ++i) {
    const uint8_t* row = all.const_data_ptr<uint8_t>() + i * longest;
    bytes_of_all.insert(bytes_of_all.end(), row, row + sizes[i].item<int64_t>());
  }
  return bytes_of_all;
}

void Replicas::sum(const std::vector<at::Tensor>& tensors) const {
  if (!communicator_) return;
  const c10::NoGradGuard no_grad;
  const std::vector<at::Tensor> parts = plain_parts(tensors);
  for (size_t begin = 0; begin < parts.size();) {
    size_t end = begin;
    std::vector<at::Tensor> flat;
    for (int64_t bytes = 0; end < parts.size() && (end == begin || bytes < kTogetherBytes); ++end) {
      flat.push_back(parts[end].reshape({-1}));
      bytes += static_cast<int64_t>(parts[end].nbytes());
    }
    const at::Tensor sum =
        communicator_->all_reduce({flat.size() == 1 ? flat[0] : at::cat(flat)})[0];
    int64_t first = 0;
    for (; begin < end; ++begin) {
      parts[begin].copy_(sum.narrow(0, first, parts[begin].numel()).view(parts[begin].sizes()));
      first += parts[begin].numel();
    }
  }
}

}  // namespace samebits
