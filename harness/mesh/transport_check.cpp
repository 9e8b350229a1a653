#include "harness/mesh/transport_check.h"

#include <ATen/ATen.h>

#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "harness/mesh/gloo_transport.h"
#include "harness/mesh/nccl_transport.h"

namespace samebits {
namespace {

constexpr std::chrono::seconds kLimit{10};

// Gathers one byte, the rank's number, on a transport. What goes wrong, or "".
std::string try_gather(Transport& transport) {
  const at::Tensor given = at::full({1}, transport.rank(), at::kByte).to(transport.device());
  at::Tensor got = at::zeros({transport.size()}, given.options());
  transport.all_gather(given.const_data_ptr(), got.mutable_data_ptr(), 1);
  const bool is_right = at::equal(got.cpu(), at::arange(transport.size(), at::kByte));
  return is_right ? "" : "an all-gather gave other bytes";
}

}  // namespace

std::string why_no_transport(MeshKind kind) {
  if (kind == MeshKind::kLocal) return "";
  const int64_t size = kind == MeshKind::kGloo ? 2 : 1;
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::string> reasons(static_cast<size_t>(size));
  keep_out_of_flight_recorder();
  std::vector<std::thread> ranks;
  for (int64_t rank = 0; rank < size; ++rank) {
    ranks.emplace_back([&, rank] {
      try {
        CollectiveLog log;
        const auto transport =
            kind == MeshKind::kGloo
                ? make_gloo_transport(store, rank, size, "127.0.0.1", kLimit, log)
                : make_nccl_transport(store, rank, size, log);
        reasons[rank] = try_gather(*transport);
      } catch (const std::exception& error) {
        reasons[rank] = error.what();
      }
    });
  }
  for (std::thread& rank : ranks) rank.join();
  for (const std::string& reason : reasons) {
    if (!reason.empty()) return reason;
  }
  return "";
}

}  // namespace samebits
