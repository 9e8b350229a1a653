#include "harness/base/error.h"
#include "harness/mesh/nccl_transport.h"

namespace samebits {

std::unique_ptr<Transport> make_nccl_transport(const c10::intrusive_ptr<c10d::Store>&, int64_t,
                                               int64_t, CollectiveLog&) {
  throw InputError("mesh.kind", "nccl", "gloo or local: this build has no CUDA");
}

}  // namespace samebits
