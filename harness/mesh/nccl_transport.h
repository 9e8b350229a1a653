#pragma once

#include <c10/util/intrusive_ptr.h>

#include <memory>

#include "harness/mesh/transport.h"

namespace c10d {
class Store;
}

namespace samebits {

// Between cards, one a rank, by NCCL itself rather than c10d's ProcessGroupNCCL: its collectives
// are launches on the current stream and nothing else, so that a CUDA graph can hold them (a
// capture of c10d's keeps its sequence number, and replays of several ranks hang:
// sgl-project/sglang#31852). This rank's card is the current one. Collective over the group, which
// meets in `store`. A peer that dies is not told here: the launch waits, until the judge of the run
// ends this process.
//
// InputError in a build without CUDA.
std::unique_ptr<Transport> make_nccl_transport(const c10::intrusive_ptr<c10d::Store>& store,
                                               int64_t rank, int64_t size, CollectiveLog& log);

}  // namespace samebits
