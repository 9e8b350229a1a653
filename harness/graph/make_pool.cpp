#include "harness/graph/make_pool.h"

#include "harness/graph/cuda_pool.h"
#include "harness/graph/emulated_pool.h"

namespace samebits {

std::shared_ptr<ReplayPool> make_pool(c10::Device device) {
  if (device.is_cuda()) return make_cuda_pool();
  return std::make_shared<EmulatedPool>();
}

}  // namespace samebits
