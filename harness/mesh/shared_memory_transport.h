#pragma once

#include <c10/util/intrusive_ptr.h>

#include <chrono>
#include <memory>

#include "harness/mesh/transport.h"

namespace c10d {
class Store;
}

namespace samebits {

// Between processes of one machine, through memory that all of them map: what small collectives
// cost over sockets is threads that wake each other. Ranks find each other in `store`, under keys
// of their own. Collective over the group.
//
// Null, for all of them, where they are not on one machine (in one network and process namespace),
// where one of them cannot map what another has made, or where GLOO_SOCKET_IFNAME says that Gloo is
// wanted. A peer that dies is not told before the time limit is over: whoever judges the ranks sees
// it at once.
std::unique_ptr<Transport> make_shared_memory_transport(
    const c10::intrusive_ptr<c10d::Store>& store, int64_t rank, int64_t size,
    std::chrono::milliseconds timeout, CollectiveLog& log);

}  // namespace samebits
