#pragma once

#include <string>
#include <string_view>

// What travels between the process that judges a run and its ranks: lines, of which the first
// character says what the rest is. Both ends are the same program, so this is no format of files.
namespace samebits::rank_message {

// From a rank.
inline constexpr char kHello = 'h';        // JSON: rank, program, libraries, case
inline constexpr char kPlace = 'p';        // JSON: where it stands (RankPlace)
inline constexpr char kObservation = 'o';  // a line of its stream
inline constexpr char kStep = 's';         // a line of steps.jsonl: the step has ended
inline constexpr char kGuards = 'g';       // JSON: the guard ledger
inline constexpr char kGraph = 'c';        // JSON string: a captured graph
inline constexpr char kReady = 'r';        // nothing: the workload is built
inline constexpr char kDone = 'd';         // nothing: the arm has ended
inline constexpr char kRefused = 'i';      // the line of an InputError
inline constexpr char kBroken = 'b';       // the line of a RunError
inline constexpr char kLost = 'l';         // likewise, of a collective: some other rank is at fault

// To a rank.
inline constexpr char kArm = 'a';   // JSON: run this arm
inline constexpr char kQuit = 'q';  // nothing: the run has ended

inline std::string make(char kind, std::string_view text = "") {
  return std::string(1, kind).append(text);
}
inline char kind_of(const std::string& line) { return line.empty() ? '\0' : line[0]; }
inline std::string_view text_of(const std::string& line) {
  return std::string_view(line).substr(line.empty() ? 0 : 1);
}

}  // namespace samebits::rank_message
