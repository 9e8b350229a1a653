#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

// The folder of a run. What stands in it vouches for what was written before it:
//   run.json           what made it (run/origin.h), written first
//   case.json          the resolved case; from here on the folder is a run
//   ARM/rank-R.jsonl   observations
//   ARM/steps.jsonl    costs and witness of each step, of rank 0; ARM/steps-R.jsonl of rank R
//   ARM/checkpoint-S.safetensors  what an arm that has not ended goes on from at step S
//   ARM/guards.json    the guard ledger, when the arm has ended
//   ARM/output-N.txt   of an arm that is another program: what its run N printed
//   ARM/repeat-N-rank-R.jsonl  likewise: what its run N observed, from the second (1) on
//   ARM/sites-R.json   likewise: the line of the program behind each site; never compared
//   ARM/kept-R.safetensors  tensors that were kept (kept_file.h): the stream's digests vouch
//   ARM/log.json       likewise: how exactly the log that was read holds its values
//   ARM/program/       likewise: where it writes while it runs
//   ARM/graph-N.json   the captured graphs, in the order of programs: the generator's, for an arm
//                      to run from, the trainer's and the optimizer's
//   ARM/finished.json  the marker: the arm has ended, and these are the digests of its files
//   build-ARM.txt      of an arm of a commit: what its build printed
//   .checkouts/ARM/    likewise: where the commit is checked out while the run runs
//   op-A+B/            a run of two arms that diverged, at level `op`
//   op-A+B/difference.safetensors  `a` and `b`: what both have where they first differ
//   op-A+B/calls.json  the operator calls that led there (compare/call_graph.h)
//   times.json         what steps took that were run for the clock alone (times_file.h)
//   planted.json       what became of faults that were planted (planted_file.h)
//   report.md          and the same as a page, report.html
//   manifest.json      written last (manifest.h)
namespace samebits::run_files {

inline constexpr char kLock[] = ".lock";
inline constexpr char kOrigin[] = "run.json";
inline constexpr char kCase[] = "case.json";
inline constexpr char kManifest[] = "manifest.json";
inline constexpr char kDifference[] = "difference.safetensors";
inline constexpr char kCalls[] = "calls.json";
inline constexpr char kReport[] = "report.md";
inline constexpr char kTimes[] = "times.json";
inline constexpr char kPlanted[] = "planted.json";
inline constexpr char kPage[] = "report.html";
inline constexpr char kSteps[] = "steps.jsonl";
inline constexpr char kGuards[] = "guards.json";
inline constexpr char kFinished[] = "finished.json";
// Beside the stream of a program that is none of samebits's (recorder_file.h), with no case.
inline constexpr char kProgram[] = "program";
// No arm has this name.
inline constexpr char kCheckouts[] = ".checkouts";
// Beside the stream of an arm that was made of a log (log_source.h).
inline constexpr char kLog[] = "log.json";
inline constexpr char kRecorder[] = "recorder.json";

std::filesystem::path stream(const std::filesystem::path& arm_folder, int64_t rank);
// What the arm goes on from after `step` steps (run/checkpoint.h).
std::filesystem::path checkpoint(const std::filesystem::path& arm_folder, int64_t step);
// The steps that there is one for, ascending.
std::vector<int64_t> checkpoints(const std::filesystem::path& arm_folder);
// What runs of a program left beside the streams (output, repeats, sites, kept tensors).
void remove_runs_of_program(const std::filesystem::path& arm_folder);
void remove_checkpoints(const std::filesystem::path& arm_folder, int64_t but_of_step = -1);
std::filesystem::path steps(const std::filesystem::path& arm_folder, int64_t rank);
std::filesystem::path sites(const std::filesystem::path& arm_folder, int64_t rank);
// The tensors that rank `rank` kept (kept_file.h).
std::filesystem::path kept(const std::filesystem::path& arm_folder, int64_t rank);
std::filesystem::path output(const std::filesystem::path& arm_folder, int64_t run);
std::filesystem::path build_output(const std::filesystem::path& run_folder, const std::string& arm);
std::filesystem::path repeat(const std::filesystem::path& arm_folder, int64_t run, int64_t rank);
std::filesystem::path graph(const std::filesystem::path& arm_folder, int64_t index);

// The folder for looking closer at two arms. An arm's name has no `+`, so no arm has this name and
// no two pairs share it.
std::string closer_folder(const std::string& a, const std::string& b);

// 32 hex digits over the bytes of a file. Throws InputError where it cannot be read.
std::string digest_of_file(const std::filesystem::path& file);

// What an arm's marker vouches for, by name: every file of its folder that it may have, in a fixed
// order. Not what a recorder does not vouch for either: sites-R.json, which only explains, and
// kept-R.safetensors, whose tensors have their digests in the stream.
std::vector<std::string> of_arm(const std::filesystem::path& arm_folder);

// True for a file that an interrupted write left: NAME.XXXXXX, NAME being one of ours.
bool is_litter(const std::filesystem::path& file);

// Removes such files from a run's folder and those of its arms. Only while the folder is locked.
void remove_litter(const std::filesystem::path& run_folder);

// Removes a run, and nothing that is not of one: InputError that names the first other file, with
// nothing removed. The lock stays.
void remove_run(const std::filesystem::path& run_folder);

}  // namespace samebits::run_files
