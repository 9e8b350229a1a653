#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <filesystem>

#include "harness/base/environment.h"
#include "harness/base/output.h"
#include "harness/cli/commands.h"
#include "harness/kernels/cpu/isa.h"
#include "harness/kernels/device.h"
#include "harness/mesh/transport_check.h"

namespace samebits {
namespace {

// Prints what there is and, where something is missing, what to do about it. Exit code 1 when a
// run would fail.
int run_doctor() {
  bool healthy = true;
  const auto line = [](const std::string& key, const std::string& value) {
    say("{:<18}{}\n", key, value);
  };
  for (const auto& [key, value] : environment_report()) line(key, value);
  line("kernels",
       std::string(name_of(selected_isa())) + " (SAMEBITS_CPU picks another; bits stay the same)");
  line("threads", std::to_string(at::get_num_threads()) + " (OMP_NUM_THREADS)");
  const std::string missing = why_no_cuda();
  line("GPU",
       missing.empty() ? "serves cases (--set device=cuda)" : missing + "; cases run on the CPU");
  const std::string no_gloo = why_no_transport(MeshKind::kGloo);
  healthy &= no_gloo.empty();
  line("ranks (gloo)", no_gloo.empty() ? "an all-gather of two ranks went through" : no_gloo);
  const std::string no_nccl = missing.empty() ? why_no_transport(MeshKind::kNccl) : missing;
  line("ranks (nccl)", no_nccl.empty() ? "one rank went through; at most " +
                                             std::to_string(device_count()) + ", the cards here"
                                       : no_nccl);
  const auto look_for = [&](const char* what, const std::filesystem::path& path,
                            const char* advice) {
    const bool there = std::filesystem::exists(path);
    healthy &= there;
    line(what, there ? path.string() : fmt::format("{} is missing: {}", path.string(), advice));
  };
  look_for("cases", "cases/grpo-tiny.json", "run from the root of the checkout");
  look_for("checkpoint", "cases/models/tiny/model.safetensors", "restore it with git checkout");
  look_for("goldens", "golden", "runs are not checked against anything without it");
  return healthy ? 0 : 1;
}

}  // namespace

void add_doctor_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("doctor", "what is here, what is missing, what to do");
  command->callback([&action] { action = run_doctor; });
}

}  // namespace samebits
