#include "harness/run/checkpoint.h"

#include <ATen/ATen.h>

#include <cstring>

#include "harness/base/error.h"
#include "harness/bits/safetensors.h"
#include "harness/observe/run_files.h"
#include "harness/observe/tensor_observation.h"

namespace samebits {
namespace {

at::ScalarType scalar_type_of(Dtype dtype, const std::string& where) {
  for (const at::ScalarType type : {at::kLong, at::kFloat, at::kBFloat16, at::kDouble, at::kHalf}) {
    if (dtype_from_scalar_type(type) == dtype) return type;
  }
  throw InputError(where, std::string(dtype_name(dtype)), "a dtype of weights or counters");
}

}  // namespace

Checkpoints checkpoints_of(const CaseArm& arm, const ArmRecorder& recorder) {
  return {std::filesystem::absolute(recorder.folder()), arm.checkpoint_every,
          recorder.first_step()};
}

void write_checkpoint(const std::filesystem::path& arm_folder, int64_t step, const State& state) {
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : state) {
    const auto* bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
    views.push_back({name,
                     dtype_from_scalar_type(tensor.scalar_type()),
                     tensor.sizes().vec(),
                     {bytes, tensor.nbytes()}});
  }
  write_safetensors(run_files::checkpoint(arm_folder, step).string(), views);
  run_files::remove_checkpoints(arm_folder, /*but_of_step=*/step);
}

State read_checkpoint(const std::filesystem::path& arm_folder, int64_t step) {
  const SafetensorsFile file(run_files::checkpoint(arm_folder, step).string());
  State state;
  for (const TensorView& view : file.tensors()) {
    const at::Tensor tensor =
        at::empty(view.shape, scalar_type_of(view.dtype, file.path() + ": " + view.name));
    std::memcpy(tensor.mutable_data_ptr(), view.data.data(), view.data.size());
    state[view.name] = tensor;
  }
  return state;
}

}  // namespace samebits
