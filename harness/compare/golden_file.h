#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/json.h"
#include "harness/observe/observation.h"

// Goldens: blessed streams, golden/CASE/NAME.jsonl, each with its provenance in NAME.json beside
// it. Arms that a relation ties to the bit share one, which has the name of the first of them.
namespace samebits {

struct Provenance {
  std::string command;
  std::string reason;  // why the golden changed; required when it does
  std::vector<std::pair<std::string, std::string>> environment;
  Json models = Json::object();  // by folder as a case names it: each file's digest (run.json)
};

struct Golden {
  static constexpr int64_t kFormat = 2;  // 1 had no tied arms

  std::string name;                 // of its files
  std::filesystem::path file = {};  // NAME.json, of one that was read
  std::string platform;             // of its arms' numerics
  int64_t steps = 0;
  // By arm, at least one: its canonical settings.
  std::vector<std::pair<std::string, Json>> settings;
  // Of the model's folder: each file that was read, and its digest. None in a golden from before
  // they were kept.
  std::vector<std::pair<std::string, std::string>> files;
  std::vector<Observation> observations;  // condensed (condense.h)
  Provenance provenance;

  // The settings of an arm, with today's defaults; nullptr for an arm that is not of this golden.
  const Json* settings_of(const std::string& arm) const;
};

// Every golden of a case, by name. None where there is no folder. Throws InputError for one of
// another format, and for one whose settings or stream are not those that were blessed.
std::vector<Golden> read_goldens(const std::filesystem::path& golden_folder,
                                 const std::string& case_name);

// The golden of an arm, of those of its case; nullptr where there is none.
const Golden* golden_of(const std::vector<Golden>& goldens, const std::string& arm);

// Writes one: the stream, then the provenance, which vouches for it.
void write_golden(const std::filesystem::path& golden_folder, const std::string& case_name,
                  const Golden& golden);

// Removes one, the provenance first.
void remove_golden(const std::filesystem::path& golden_folder, const std::string& case_name,
                   const std::string& name);

// The names of the goldens of a case, sorted, whether they can be read or not.
std::vector<std::string> golden_names(const std::filesystem::path& golden_folder,
                                      const std::string& case_name);

// One golden. Throws InputError as read_goldens does.
Golden read_golden(const std::filesystem::path& golden_folder, const std::string& case_name,
                   const std::string& name);

}  // namespace samebits
