#include "harness/dispatch/distributed_tensors.h"

#include <c10/util/Exception.h>

namespace samebits {
namespace {

// Set while static registrars run, read-only after.
const DistributedTensors* registered = nullptr;

}  // namespace

void register_distributed_tensors(const DistributedTensors& tensors) {
  TORCH_INTERNAL_ASSERT(!registered, "distributed tensors are registered twice");
  registered = &tensors;
}

const DistributedTensors* distributed_tensors() { return registered; }

const DistributedTensors* distributed_tensors_of(const at::Tensor& tensor) {
  return registered && registered->contains(tensor) ? registered : nullptr;
}

}  // namespace samebits
