#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <optional>
#include <vector>

#include "harness/case/case.h"
#include "harness/observe/observation.h"
#include "harness/observe/tensor_keeper.h"

namespace samebits {

// What is kept of one place of a run, and of its step.
struct Kept {
  Computation computation;
  std::vector<at::Tensor> completions;  // int64 [tokens], in order
};

// Whether a side of the arm replays what it captured.
bool is_replayed(const CaseArm& arm);

// The arm with its graphs run node by node where it replays them: a replay has no operators that
// could be seen. The bits are the same.
CaseArm without_replays(CaseArm arm);

// The arm with its ranks in this process, where they are processes on CPUs and no replicas: it
// gives the same bits, and its operators can be seen. Others stay as they are.
CaseArm in_this_process(CaseArm arm);

// Runs an arm of this process again at level `op`, up to the step of `place`, and returns what it
// observed there and how that was computed. It begins with that step where `folder`, of the arm's
// earlier run, holds its state of then. What an arm computes in a replay, nobody sees: it is had of
// without_replays(), which the caller is to compare with what the replay gave. Not known where it
// cannot be had: within a replay, or of arms in other processes. `rank`: of the mesh, as which the
// arm sees what its ranks hold copies of. Throws as Arm does.
Kept keep_tensor(const CaseArm& arm, const ObservationPlace& place,
                 const std::filesystem::path& folder = {}, int64_t rank = 0);

// The same run in the arm's own mode, for what it observes there alone; nothing where it cannot be
// had, or where the place is not seen.
std::optional<Observation> observe_again(const CaseArm& arm, const ObservationPlace& place,
                                         const std::filesystem::path& folder, int64_t rank);

}  // namespace samebits
