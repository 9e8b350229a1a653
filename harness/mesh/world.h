#pragma once

#include <c10/util/intrusive_ptr.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/mesh/device_mesh.h"
#include "harness/mesh/transport.h"

namespace c10d {
class Store;
}

namespace samebits {

// Where the processes of a run meet: a store that one of them serves (c10d's TCPStore).
struct Rendezvous {
  std::string host;  // of the process that serves the store
  int port = 0;      // 0 of who serves: any free one
};

// Serves a store, for as long as what it returns lives, and says on which port. RunError where the
// port is taken.
c10::intrusive_ptr<c10d::Store> serve_store(Rendezvous& rendezvous,
                                            std::chrono::milliseconds timeout);

// Joins one that is served, or will be within the time limit; RunError otherwise.
c10::intrusive_ptr<c10d::Store> join_store(const Rendezvous& rendezvous,
                                           std::chrono::milliseconds timeout);

// The processes of an arm, one rank each, as one of them sees them. Ranks are laid out as a grid of
// replicas by tensor-parallel ranks, the latter next to each other, as torch's init_device_mesh
// does for ("dp", "tp"): rank = replica * tp + rank in the replica.
//
// Makers of transports and meshes are collective over the group that they are for.
class World {
 public:
  // `store`: keys of it begin with `name`, of which no two arms have the same. `host`: an address
  // of this process that the others reach.
  World(c10::intrusive_ptr<c10d::Store> store, std::string name, std::string host, int64_t rank,
        const MeshSettings& mesh, std::chrono::milliseconds timeout);

  int64_t rank() const { return rank_; }
  int64_t tp_rank() const { return rank_ % mesh_.tp; }
  int64_t replica() const { return rank_ / mesh_.tp; }
  const CollectiveLog& collectives() const { return log_; }

  // The ranks of this one's replica; null where it is the only one.
  c10::intrusive_ptr<DeviceMesh> tensor_parallel_mesh();

  // The ranks of other replicas that hold what this one holds; null where there is one replica.
  std::unique_ptr<Transport> replicas();

 private:
  std::unique_ptr<Transport> transport(const std::string& dimension, int64_t group, int64_t rank,
                                       int64_t size);

  c10::intrusive_ptr<c10d::Store> store_;
  std::string name_;
  std::string host_;
  int64_t rank_;
  MeshSettings mesh_;
  std::chrono::milliseconds timeout_;
  CollectiveLog log_;
};

}  // namespace samebits
