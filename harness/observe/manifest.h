#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/json.h"

namespace samebits {

// The last file of a run: what ran, where, and what came of it. A run folder without one was cut
// off, or is still running.
struct Manifest {
  static constexpr int64_t kFormat = 2;  // 1 is read too: its observations have no `apart`

  struct ArmEntry {
    std::string name;
    bool finished = false;
    int64_t ranks = 0;
    int64_t observations = 0;
    double seconds = 0;       // wall clock of its phases
    std::string marker;       // digest of its finished.json; "" in a run of an earlier version
    std::string commit = {};  // the full hash, of an arm of a commit
  };
  struct ModelEntry {
    std::string name;  // its folder, as the case writes it
    int64_t parameters = 0;
    int64_t layers = 0;
    int64_t hidden_size = 0;
  };
  // A closer look, at level `op`, at two arms that diverged, or at one that has a NaN or infinity.
  struct Closer {
    std::string a = {};
    std::string b = {};     // "" for a look at `a` alone
    std::string text = {};  // the first operator
    // How its two tensors differ, where both could be kept (compare/tensor_difference.h).
    std::vector<std::pair<std::string, std::string>> facts = {};
    // Arms that observed other values when they ran again, and where first.
    std::vector<std::pair<std::string, std::string>> unstable = {};
  };

  std::string command;                                           // what was typed
  std::vector<std::pair<std::string, std::string>> environment;  // in order
  Json settings;                                                 // the resolved case
  std::vector<ArmEntry> arms;
  Json verdicts = Json::array();  // one object a relation (compare/verdict.h)
  Json golden = Json::array();    // one object an arm (compare/golden.h)
  std::string case_file;      // absolute: its paths are relative to its folder; "" of older runs
  std::string golden_folder;  // where the goldens were looked for
  std::vector<Closer> closer;
  std::vector<ModelEntry> models;
  double load_before = 0;  // load average of the machine; 0: not known
  double load_after = 0;
};

// Writes manifest.json, complete or not at all.
void write_manifest(const std::filesystem::path& run_folder, const Manifest& manifest);

// nullopt where the run has none. InputError where it is not one of this format.
std::optional<Manifest> read_manifest(const std::filesystem::path& run_folder);

// Why the case.json of a run's folder is not what was run, whose settings and relations decide what
// is compared; "" where it is.
std::string damage_of_case(const std::filesystem::path& run_folder, const Manifest& manifest);

}  // namespace samebits
