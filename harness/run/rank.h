#pragma once

#include "harness/base/json.h"
#include "harness/case/case.h"
#include "harness/observe/step_observer.h"
#include "harness/run/checkpoint.h"
#include "harness/run/rank_environment.h"

namespace samebits {

// The program and libraries of this process, and the case that it was given, for the judge of a run
// to compare with its own. `whole`: null for a rank that was given none.
Json rank_hello(const RankEnvironment& environment, const Case* whole);

// The arm as a message to ranks: a case of it alone, with absolute paths, and what it is made of.
Json rank_order(const CaseArm& arm, Level level, const std::string& name,
                const Checkpoints& checkpoints);

// Is one rank of a run (rank_pool.h) until the run ends: runs the arms that it is told to run, and
// tells what it sees. Gives an exit code: 0 where the run went through, 3 where this rank or
// another broke it; the judge prints what there is to say.
int run_rank(const RankEnvironment& environment, const Case* whole);

}  // namespace samebits
