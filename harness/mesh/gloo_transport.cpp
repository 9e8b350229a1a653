// The wheel has Gloo inside libtorch_cpu but not its headers: they are Debian's libgloo-dev.
#define USE_C10D_GLOO

#include "harness/mesh/gloo_transport.h"

#include <ATen/ThreadLocalState.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <cstdlib>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "harness/base/error.h"
#include "harness/base/text.h"
#include "harness/dispatch/library_work.h"

namespace samebits {
namespace {

at::Tensor bytes_at(const void* data, int64_t bytes) {
  return at::from_blob(const_cast<void*>(data), {bytes}, at::TensorOptions().dtype(at::kByte));
}

class GlooTransport final : public Transport {
 public:
  GlooTransport(c10::intrusive_ptr<c10d::ProcessGroupGloo> group, CollectiveLog& log)
      : Transport(group->getRank(), group->getSize(), log), group_(std::move(group)) {}

  c10::Device device() const override { return c10::kCPU; }

  // A rank that is through, and closes its connections, must not be gone while others still
  // connect.
  void wait_for_all() {
    const char here = 1;
    std::vector<char> all(static_cast<size_t>(size()));
    move_to_all(&here, all.data(), 1);
  }

 private:
  void move_to_all(const void* given, void* got, int64_t bytes) override {
    const LibraryWorkGuard guard(plain_);
    at::Tensor mine = bytes_at(given, bytes);
    at::Tensor all = bytes_at(got, bytes * size());
    group_->_allgather_base(all, mine, {})->wait();
  }

  void exchange(const void* given, void* got, int64_t bytes) override {
    const LibraryWorkGuard guard(plain_);
    at::Tensor from = bytes_at(given, bytes * size());
    at::Tensor to = bytes_at(got, bytes * size());
    std::vector<int64_t> equal;
    group_->alltoall_base(to, from, equal, equal, {})->wait();
  }

  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
  // c10d works on threads of its own, with the state of the calling one, on which modes of this one
  // are not.
  at::ThreadLocalState plain_;
};

}  // namespace

std::unique_ptr<Transport> make_gloo_transport(const c10::intrusive_ptr<c10d::Store>& store,
                                               int64_t rank, int64_t size, const std::string& host,
                                               std::chrono::milliseconds timeout,
                                               CollectiveLog& log) {
  using c10d::ProcessGroupGloo;
  const auto options = ProcessGroupGloo::Options::create(timeout);
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  options->devices.push_back(interface != nullptr
                                 ? ProcessGroupGloo::createDeviceForInterface(interface)
                                 : ProcessGroupGloo::createDeviceForHostname(host));
  options->threads = 1;  // collectives come one after the other
  try {
    auto transport = std::make_unique<GlooTransport>(
        c10::make_intrusive<ProcessGroupGloo>(store, static_cast<int>(rank), static_cast<int>(size),
                                              options),
        log);
    transport->wait_for_all();
    return transport;
  } catch (const std::exception& error) {
    throw RunError(fmt::format("rank {} of {} does not reach the others by gloo: {}", rank, size,
                               first_line(error.what())));
  }
}

void keep_out_of_flight_recorder() { setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/1); }

}  // namespace samebits
