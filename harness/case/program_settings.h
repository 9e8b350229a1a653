#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace samebits {

// How a log is read, where its name and its bytes do not say it (harness/logs/).
struct LogSettings {
  std::string format;   // "csv"; empty: found
  std::string pattern;  // named groups: step, and one a site; of a text
  std::string step;     // the column or key that counts steps; empty: the first known one
  std::string only;     // the sites that are read: a regular expression; empty: all

  bool operator==(const LogSettings&) const = default;
};

// An arm that is another program: one that is started, or what one recorded before.
struct ProgramSettings {
  // In `command` and in the values of `env` these words stand for what an arm is told: the folder
  // that observations are to be written to, the level, the number of steps, the seed, and the place
  // whose tensor is to be kept, "STEP OCCURRENCE PHASE SITE", or nothing.
  static constexpr char kOut[] = "{out}";
  static constexpr char kLevel[] = "{level}";
  static constexpr char kSteps[] = "{steps}";
  static constexpr char kSeed[] = "{seed}";
  static constexpr char kKeep[] = "{keep}";

  std::vector<std::string> command;        // the program and its arguments; empty: `recorded`
  std::map<std::string, std::string> env;  // laid over this process's environment
  std::filesystem::path cwd;               // empty: the folder of the case's file
  int64_t repeat = 1;                      // runs, which must all observe the same
  std::filesystem::path recorded;          // a folder of streams (docs/stream.md), or a log
  std::filesystem::path observations;  // a log that the program writes, relative to {out}, or "-"
  LogSettings log;                     // how the log is read

  // What `observations` says of a log that is printed.
  static constexpr char kPrinted[] = "-";

  bool has_log() const { return !observations.empty(); }
  // Whether `word`, one of the above, stands anywhere.
  bool is_told(const std::string& word) const;
};

}  // namespace samebits
