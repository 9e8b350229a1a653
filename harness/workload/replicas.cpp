#include "harness/workload/replicas.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "harness/dtensor/dtensor.h"
#include "harness/mesh/shard.h"

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

// `parts` in runs that are exchanged together, each given to `exchange`.
template <typename Exchange>
void exchange_together(const std::vector<at::Tensor>& parts, const Exchange& exchange) {
  for (size_t begin = 0; begin < parts.size();) {
    std::vector<at::Tensor> run;
    for (int64_t bytes = 0; begin < parts.size() && (run.empty() || bytes < kTogetherBytes);) {
      run.push_back(parts[begin++]);
      bytes += static_cast<int64_t>(run.back().nbytes());
    }
    exchange(run);
  }
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
  exchange_together(plain_parts(tensors), [this](const std::vector<at::Tensor>& run) {
    std::vector<at::Tensor> flat;
    for (const at::Tensor& part : run) flat.push_back(part.reshape({-1}));
    const at::Tensor sum =
        communicator_->all_reduce({flat.size() == 1 ? flat[0] : at::cat(flat)})[0];
    int64_t first = 0;
    for (const at::Tensor& part : run) {
      part.copy_(sum.narrow(0, first, part.numel()).view(part.sizes()));
      first += part.numel();
    }
  });
}

std::vector<at::Tensor> Replicas::shares_of(const at::Tensor& tensor) const {
  std::vector<at::Tensor> shares;
  for (const at::Tensor& part : plain_parts({tensor})) {
    shares.push_back(samebits::share_of(part.detach().view({-1}), /*dim=*/0, size(), index()));
  }
  return shares;
}

// Shares are padded to the first's size, which is the longest: one after the other they are the
// whole, with what was padded at its end.
void Replicas::gather_shares(const std::vector<at::Tensor>& tensors) const {
  if (!communicator_) return;
  const c10::NoGradGuard no_grad;
  exchange_together(plain_parts(tensors), [this](const std::vector<at::Tensor>& run) {
    int64_t elements = 0;
    for (const at::Tensor& part : run) elements += largest_share(part.numel());
    at::Tensor mine = at::zeros({1, elements}, run[0].options());
    int64_t first = 0;
    for (const at::Tensor& part : run) {
      const at::Tensor share = shares_of(part)[0];
      mine[0].narrow(0, first, share.numel()).copy_(share);
      first += largest_share(part.numel());
    }
    const at::Tensor all = communicator_->all_gather({mine}, /*dim=*/0, size())[0];
    first = 0;
    for (const at::Tensor& part : run) {
      const int64_t longest = largest_share(part.numel());
      const at::Tensor whole = all.narrow(1, first, longest).reshape({-1});
      part.copy_(whole.narrow(0, 0, part.numel()).view(part.sizes()));
      first += longest;
    }
  });
}

}  // namespace samebits
