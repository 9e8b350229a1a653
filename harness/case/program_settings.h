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

// An arm that is another program: one that is started, as it is or as it was in a commit, or what
// one recorded before.
struct ProgramSettings {
  // In `command` and in the values of `env` these words stand for what an arm is told: the folder
  // that observations are to be written to, the level, the number of steps, the seed, which
  // tensors are to be kept: "/REGULAR EXPRESSION/" of sites, a place, "STEP OCCURRENCE PHASE SITE",
  // or nothing; and how many bytes they may take. In those and in `build`:
  // the folder that the commit is checked out in.
  static constexpr char kOut[] = "{out}";
  static constexpr char kLevel[] = "{level}";
  static constexpr char kSteps[] = "{steps}";
  static constexpr char kSeed[] = "{seed}";
  static constexpr char kKeep[] = "{keep}";
  static constexpr char kKeepBytes[] = "{keep_bytes}";
  static constexpr char kCheckout[] = "{checkout}";

  std::vector<std::string> command;        // the program and its arguments; empty: `recorded`
  std::map<std::string, std::string> env;  // laid over this process's environment
  std::filesystem::path cwd;  // empty: the folder of the case's file; of a commit: in its checkout
  int64_t repeat = 1;         // runs, which must all observe the same
  std::filesystem::path recorded;       // a folder of streams (docs/stream.md), or a log
  std::filesystem::path observations;   // a log that the program writes, relative to {out}, or "-"
  LogSettings log;                      // how the log is read
  std::string commit;                   // a revision of `repository`; empty: the program as it is
  std::filesystem::path repository;     // a folder in it; empty: the folder of the case's file
  std::vector<std::string> build;       // run in the checkout before the command; empty: nothing
  std::filesystem::path checkout = {};  // no key: where the commit lies while the case runs

  // What `observations` says of a log that is printed.
  static constexpr char kPrinted[] = "-";

  bool has_log() const { return !observations.empty(); }
  bool is_of_commit() const { return !commit.empty(); }
  // Where it is started.
  std::filesystem::path working_folder() const { return checkout / cwd; }
  // All of the above.
  static std::vector<std::string> words();
  // The first word in braces that is none of them, and nearly one; "" for none. Code and JSON have
  // braces of their own, and spaces or quotes: such are not looked at. ${word} is a shell's.
  static std::string misspelt_word(const std::string& text);
  // Whether `word`, one of the above, stands anywhere.
  bool is_told(const std::string& word) const;
};

}  // namespace samebits
