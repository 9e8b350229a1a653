#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/case/case.h"
#include "harness/diagnose/case_failure.h"

namespace samebits {

// A case that may fail as another one does, and is smaller.
struct Candidate {
  // A case in which every arm has all of its settings, with absolute paths.
  Json settings;
  // Keys of config.json that the models have smaller values of (model_cut.h); empty: as they are.
  Json model_sizes = Json::object();
  std::string change =
      {};  // for a person, what makes it smaller than the one before: "steps 10 -> 1"

  // The same for two candidates that run the same. One line.
  std::string key() const { return settings.dump() + model_sizes.dump(); }
};

// The arms of a failure and what is said of them.
Candidate candidate_of(const Case& c, const CaseFailure& failure);

// The same with no step behind the one that fails.
Candidate up_to_failure(Candidate candidate, const CaseFailure& failure);

// The case as it is run; `file` is named in errors. Throws InputError for settings that no case may
// have.
Case case_of(const Candidate& candidate, const std::filesystem::path& file);

// Whether the object at a key is a group of settings that stand for themselves, as "workload", and
// not one value, as "sync".
bool is_group_of_settings(const std::string& key);

// The folders of models that its arms read, each once, in the order of arms.
std::vector<std::string> models_of(const Candidate& candidate);

}  // namespace samebits
