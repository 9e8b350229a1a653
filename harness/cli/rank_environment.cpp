#include "harness/cli/rank_environment.h"

#include <charconv>
#include <cstdlib>
#include <string>

#include "harness/base/error.h"
#include "harness/base/text.h"

namespace samebits {
namespace {

struct Launcher {
  const char* rank;
  const char* size;
  const char* local_rank;
};

constexpr Launcher kLaunchers[] = {
    {"RANK", "WORLD_SIZE", "LOCAL_RANK"},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
    {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"}};

std::string variable(const char* name, const char* absent = "") {
  const char* value = std::getenv(name);
  return value == nullptr ? absent : value;
}

int64_t number(const char* name, const std::string& text, int64_t min, int64_t max) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max) {
    throw InputError(std::string("the environment: ") + name, quoted(text),
                     "a number from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return value;
}

}  // namespace

std::optional<RankEnvironment> rank_environment() {
  for (const Launcher& launcher : kLaunchers) {
    const std::string rank = variable(launcher.rank);
    const std::string size = variable(launcher.size);
    if (rank.empty() || size.empty()) continue;
    RankEnvironment environment;
    environment.size = number(launcher.size, size, 1, 1 << 20);
    environment.rank = number(launcher.rank, rank, 0, environment.size - 1);
    environment.local_rank =
        number(launcher.local_rank, variable(launcher.local_rank, "0"), 0, 1 << 20);
    environment.host = variable("MASTER_ADDR", "127.0.0.1");
    environment.port =
        static_cast<int>(number("MASTER_PORT", variable("MASTER_PORT", "29500"), 1, 65535));
    environment.is_store_served = variable("TORCHELASTIC_USE_AGENT_STORE") == "True";
    return environment;
  }
  return std::nullopt;
}

}  // namespace samebits
