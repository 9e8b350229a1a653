#pragma once

#include <c10/util/intrusive_ptr.h>

#include <chrono>
#include <memory>
#include <string>

#include "harness/mesh/transport.h"

namespace c10d {
class Store;
}

namespace samebits {

// Between processes on CPUs, by c10d's ProcessGroupGloo as LibTorch ships it. Ranks find each other
// in `store`, under keys of their own; this process listens at `host`, an address of it that the
// others reach, or at the interface that GLOO_SOCKET_IFNAME names. Collective over the group.
// RunError where the others do not come.
std::unique_ptr<Transport> make_gloo_transport(const c10::intrusive_ptr<c10d::Store>& store,
                                               int64_t rank, int64_t size, const std::string& host,
                                               std::chrono::milliseconds timeout,
                                               CollectiveLog& log);

// To be called before groups are made on several threads of one process. c10d's flight recorder, one
// for the process, writes to a map of groups outside of its lock (2.11.0,
// FlightRecorder::recordWithResetEnabled), and such groups crash in it.
void keep_out_of_flight_recorder();

}  // namespace samebits
