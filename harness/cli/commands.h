#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace samebits {

// Each command adds itself to the application and leaves in `action` what to do when it was chosen:
// a function that returns the exit code (0 held, 1 a relation failed; errors are thrown).
using Action = std::function<int()>;

// `typed` is the command line, for the manifest.
void add_run_command(CLI::App& app, const std::string& typed, Action& action);
void add_compare_command(CLI::App& app, Action& action);
void add_report_command(CLI::App& app, Action& action);
void add_blame_command(CLI::App& app, Action& action);
void add_reduce_command(CLI::App& app, Action& action);
void add_bisect_command(CLI::App& app, Action& action);
void add_bless_command(CLI::App& app, Action& action);
void add_logprobs_command(CLI::App& app, Action& action);
void add_generate_command(CLI::App& app, Action& action);
void add_bench_command(CLI::App& app, Action& action);
void add_doctor_command(CLI::App& app, Action& action);
void add_repro_command(CLI::App& app, Action& action);
void add_why_command(CLI::App& app, Action& action);
void add_check_command(CLI::App& app, Action& action);
void add_rank_command(CLI::App& app, Action& action);
void add_supervise_command(CLI::App& app, Action& action);

}  // namespace samebits
