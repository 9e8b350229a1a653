#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/core/json.h"

namespace samebits {

// The last file of a run: what ran, where, and what came of it. A run folder without one was cut
// off, or is still running.
struct Manifest {
  static constexpr int64_t kFormat = 1;

  struct ArmEntry {
    std::string name;
    bool finished = false;
    int64_t ranks = 0;
    int64_t observations = 0;
    double seconds = 0;  // wall clock, set-up included
    // Why the arm did not run in its mode, "" when its witness says that it did.
    std::string witness_failure;
  };

  std::string command;                                           // what was typed
  std::vector<std::pair<std::string, std::string>> environment;  // in order
  Json settings;                                                 // the resolved case
  std::vector<ArmEntry> arms;
  Json verdicts = Json::array();  // one object a relation (compare/verdict.h)
  Json golden = Json::array();    // one object an arm (compare/golden.h)
  // Of arms that parted: the first operator whose output differs, one sentence a pair.
  std::vector<std::string> operators;
};

// Writes manifest.json, complete or not at all.
void write_manifest(const std::filesystem::path& run_folder, const Manifest& manifest);

// nullopt where the run has none. InputError where it is not one of this format.
std::optional<Manifest> read_manifest(const std::filesystem::path& run_folder);

}  // namespace samebits
