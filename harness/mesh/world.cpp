#include "harness/mesh/world.h"

#include <fmt/format.h>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "harness/base/error.h"
#include "harness/base/text.h"
#include "harness/mesh/gloo_transport.h"
#include "harness/mesh/nccl_transport.h"
#include "harness/mesh/process_communicator.h"
#include "harness/mesh/shared_memory_transport.h"

namespace samebits {
namespace {

c10::intrusive_ptr<c10d::TCPStore> make_store(const Rendezvous& rendezvous, bool is_server,
                                              std::chrono::milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(rendezvous.port);
  options.isServer = is_server;
  options.waitWorkers = false;
  options.timeout = timeout;
  try {
    return c10::make_intrusive<c10d::TCPStore>(rendezvous.host, options);
  } catch (const std::exception& error) {
    throw RunError(fmt::format("{} {}:{}: {}",
                               is_server ? "no store can be served at" : "no store answers at",
                               rendezvous.host, rendezvous.port, first_line(error.what())));
  }
}

}  // namespace

c10::intrusive_ptr<c10d::Store> serve_store(Rendezvous& rendezvous,
                                            std::chrono::milliseconds timeout) {
  auto store = make_store(rendezvous, /*is_server=*/true, timeout);
  rendezvous.port = store->getPort();
  return store;
}

c10::intrusive_ptr<c10d::Store> join_store(const Rendezvous& rendezvous,
                                           std::chrono::milliseconds timeout) {
  return make_store(rendezvous, /*is_server=*/false, timeout);
}

World::World(c10::intrusive_ptr<c10d::Store> store, std::string name, std::string host,
             int64_t rank, const MeshSettings& mesh, std::chrono::milliseconds timeout)
    : store_(std::move(store)),
      name_(std::move(name)),
      host_(std::move(host)),
      rank_(rank),
      mesh_(mesh),
      timeout_(timeout) {
  TORCH_CHECK(rank_ >= 0 && rank_ < mesh_.ranks(), "found rank ", rank_, " of ", mesh_.ranks());
}

std::unique_ptr<Transport> World::transport(const std::string& dimension, int64_t group,
                                            int64_t rank, int64_t size) {
  const auto keys = c10::make_intrusive<c10d::PrefixStore>(
      fmt::format("{}/{}/{}", name_, dimension, group), store_);
  if (mesh_.kind == MeshKind::kNccl) return make_nccl_transport(keys, rank, size, log_);
  if (auto shared = make_shared_memory_transport(keys, rank, size, timeout_, log_)) return shared;
  return make_gloo_transport(keys, rank, size, host_, timeout_, log_);
}

c10::intrusive_ptr<DeviceMesh> World::tensor_parallel_mesh() {
  if (mesh_.tp == 1) return {};
  return make_process_mesh(transport("tp", replica(), tp_rank(), mesh_.tp), mesh_.gathered_size);
}

std::unique_ptr<Transport> World::replicas() {
  if (mesh_.dp == 1) return nullptr;
  return transport("dp", tp_rank(), replica(), mesh_.dp);
}

}  // namespace samebits
