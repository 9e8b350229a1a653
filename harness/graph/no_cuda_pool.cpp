#include <c10/util/Exception.h>

#include "harness/graph/cuda_pool.h"

namespace samebits {

std::shared_ptr<ReplayPool> make_cuda_pool() {
  TORCH_CHECK(false, "CUDA graphs: this build has no CUDA (configure with SAMEBITS_CUDA=ON)");
}

}  // namespace samebits
