#include "harness/cli/model_flags.h"

#include "harness/cli/validators.h"
#include "harness/workload/workload.h"

namespace samebits {

void ModelFlags::add_to(CLI::App& command, bool is_required) {
  command.add_option("--model", model, "Hugging Face folder of a Qwen3")
      ->required(is_required)
      ->check(not_empty());
  command.add_option("--tp", tp, "tensor-parallel degree, on a local mesh")->check(whole_number(1));
  command.add_option("--dtype", dtype, "bfloat16 or float32")
      ->check(CLI::IsMember({"bfloat16", "float32"}));
  command.add_option("--device", device, "cpu or cuda; the bits are the same")
      ->check(CLI::IsMember({"cpu", "cuda"}));
}

CaseArm ModelFlags::arm() const {
  CaseArm arm;
  arm.name = "command-line";
  arm.model = model;
  arm.mesh.tp = tp;
  arm.numerics.dtype = dtype == "float32" ? Dtype::float32 : Dtype::bfloat16;
  arm.device = device == "cuda" ? DeviceKind::kCuda : DeviceKind::kCpu;
  check_device(arm);
  return arm;
}

}  // namespace samebits
