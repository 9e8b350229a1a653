#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace samebits {

// An arm that is another program: one that is started, or what one recorded before.
struct ProgramSettings {
  // In `command` and in the values of `env` these words stand for what an arm is told: the folder
  // that observations are to be written to, the level, the number of steps, the seed.
  static constexpr char kOut[] = "{out}";
  static constexpr char kLevel[] = "{level}";
  static constexpr char kSteps[] = "{steps}";
  static constexpr char kSeed[] = "{seed}";

  std::vector<std::string> command;        // the program and its arguments; empty: `recorded`
  std::map<std::string, std::string> env;  // laid over this process's environment
  std::filesystem::path cwd;               // empty: the folder of the case's file
  int64_t repeat = 1;                      // runs, which must all observe the same
  std::filesystem::path recorded;          // a folder of streams (docs/stream.md)

  // Whether `word`, one of the above, stands anywhere.
  bool is_told(const std::string& word) const;
};

}  // namespace samebits
