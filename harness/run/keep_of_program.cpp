#include "harness/run/keep_of_program.h"

#include "harness/bits/safetensors.h"
#include "harness/observe/kept_file.h"
#include "harness/observe/run_files.h"
#include "harness/run/program_call.h"

namespace samebits {

std::vector<std::byte> keep_of_program(const CaseArm& arm, const ObservationPlace& place,
                                       int64_t rank, const std::filesystem::path& folder) {
  if (!arm.program.is_told(ProgramSettings::kKeep)) return {};
  CaseArm few = arm;
  few.steps = place.step + 1;
  const std::filesystem::path out = std::filesystem::absolute(folder) / run_files::kProgram;
  const std::filesystem::path output = run_files::output(folder, arm.program.repeat);
  const std::string keep = kept_name(place.step, place.occurrence, place.phase, place.site);
  const ProgramEnd end = run_program(call_of(few, {out, Level::kOp, keep, output}), [] {});
  std::vector<std::byte> kept;
  const std::filesystem::path file = run_files::kept(out, rank);
  if (end.is_good() && std::filesystem::exists(file)) {
    const SafetensorsFile tensors(file.string());
    const TensorView* found = tensors.find(keep);
    if (found != nullptr) kept.assign(found->data.begin(), found->data.end());
  }
  std::filesystem::remove_all(out);
  std::filesystem::remove(output);
  return kept;
}

}  // namespace samebits
