#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "harness/base/json.h"
#include "harness/diagnose/trial.h"
#include "harness/observe/stream.h"

namespace samebits {

// What has been tried, a line each in a file, so that a search that was cut off goes on where it
// was. A candidate is known by a digest of what it runs.
class Journal {
 public:
  // Begins a journal for what `subject` says, or takes up the one that is there. Throws InputError
  // for a journal of something else, and for a file that is none.
  Journal(const std::filesystem::path& file, const Json& subject);

  // The trial of a candidate that was tried before.
  std::optional<Trial> find(const Candidate& candidate) const;

  // Notes that a candidate is going to be run. Where this process does not live to add() what came
  // of it, twice, it is known as one that cannot be run: it would end this one too.
  void begin(const Candidate& candidate);
  void add(const Candidate& candidate, const Trial& trial);

  int64_t size() const { return static_cast<int64_t>(trials_.size()); }

 private:
  void read(const std::filesystem::path& file, const Json& subject);

  std::map<std::string, Trial> trials_;  // by digest
  std::map<std::string, int64_t> begun_;
  std::unique_ptr<LineWriter> lines_;
};

}  // namespace samebits
