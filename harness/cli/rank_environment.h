#pragma once

#include <optional>

#include "harness/run/rank_environment.h"

namespace samebits {

// What the launcher of this process says in its environment, nothing where there is none:
//   torchrun   RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT, TORCHELASTIC_USE_AGENT_STORE
//   mpirun     OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE, OMPI_COMM_WORLD_LOCAL_RANK (Open MPI)
//   srun       SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID, in a step alone
// The latter two take MASTER_ADDR and MASTER_PORT from the environment, as torch does: 127.0.0.1
// and 29500 by default, where all ranks are on one machine. Throws InputError for what is no number
// or does not fit together.
std::optional<RankEnvironment> rank_environment();

}  // namespace samebits
