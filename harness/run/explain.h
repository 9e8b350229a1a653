#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/case/case.h"
#include "harness/compare/divergence.h"
#include "harness/observe/arm_recording.h"
#include "harness/run/cause.h"
#include "harness/run/progress.h"

namespace samebits {

// What a person reads of a value, in that order: "cause", a sentence (run/cause.h); "again", in how
// many runs; "elements", how many differ and where; in which words that shows.
using Facts = std::vector<std::pair<std::string, std::string>>;

// Why two arms first differ where they do, and how: what came into the operator, and the elements
// of its two outputs, which are left beside the streams in `folder`. `recordings`: of both arms, at
// level `op`, in that folder. Runs both arms again, up to that step, or that step alone where the
// folder holds their state of then. Throws as a run does.
Facts explain_difference(const CaseArm& a, const CaseArm& b, const Divergence& first,
                         const std::vector<ArmRecording>& recordings,
                         const std::filesystem::path& folder, Progress& progress);

// Why two arms of this process first give other values where they do, both run again up to there;
// nullopt where too little of it can be had again.
std::optional<Cause> cause_of_divergence(const CaseArm& a, const CaseArm& b,
                                         const Divergence& first);

// Why ranks of an arm hold other copies of a value than rank 0, the `occurrence`-th of its place
// within the step; nullopt where that cannot be had again. `folder`: of the arm's earlier run.
std::optional<Cause> cause_of_apart(const CaseArm& arm, const Observation& seen, int64_t occurrence,
                                    const std::filesystem::path& folder = {});

// Where the NaN or infinities of a value came from; empty where it cannot be had. `occurrence`: of
// its place within the step.
Facts explain_nonfinite(const CaseArm& arm, const Observation& seen, int64_t occurrence,
                        const std::filesystem::path& folder);

}  // namespace samebits
