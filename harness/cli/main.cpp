// samebits's command line. Flags and environment are read here and nowhere below.

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <sstream>

#include "harness/base/environment.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/base/output.h"
#include "harness/cli/commands.h"
#include "harness/dispatch/device_error.h"
#include "harness/kernels/device.h"

namespace {

constexpr int kBadInput = 2;
constexpr int kRunBroke = 3;

int complain(int code, const std::string& line) {
  samebits::complain(line);
  return code;
}

// OpenMP's threads spin at the end of every parallel region unless told otherwise, which beside
// other work takes their cores away from them and makes a run ten times as long. libgomp reads this
// as it is loaded, before main(): so it is set for a second start of the same program.
void wait_without_spinning(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  setenv("OMP_WAIT_POLICY", "passive", /*overwrite=*/0);
  execv("/proc/self/exe", argv);  // returns where it fails; the run is then slower beside others
}

// As typed, with the program by its name alone.
std::string command_line(int argc, char** argv) {
  std::string line = "samebits";
  for (int i = 1; i < argc; ++i) line.append(" ").append(argv[i]);
  return line;
}

// What a file system refuses is the doing of a path that was given, unless the disk itself fails.
int code_of(const std::filesystem::filesystem_error& error) {
  const int number = error.code().value();
  return number == ENOSPC || number == EDQUOT || number == EIO ? kRunBroke : kBadInput;
}

// --help is not an error; everything else is bad usage.
int usage(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() != 0) {
    return complain(kBadInput, fmt::format("{}; see --help", error.what()));
  }
  std::ostringstream help, nothing;
  app.exit(error, help, nothing);
  samebits::print_text(help.str());
  return 0;
}

// CLI11 says of "samebits foo" that a subcommand is required.
void check_command(const CLI::App& app, const std::string& word) {
  if (word.starts_with('-')) return;
  std::vector<std::string> shown;
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() == word) return;
    if (!command->get_group().empty()) shown.push_back(command->get_name());
  }
  throw samebits::InputError("command", samebits::quoted(word),
                             samebits::JsonReader::one_of_text(shown, word));
}

int run(CLI::App& app, int argc, char** argv) {
  std::string certificates;
  app.add_option("--certificates", certificates,
                 "remembers, from run to run, which algorithms of cuBLASLt gave our kernels' bytes")
      ->envname("SAMEBITS_CERTIFICATES");
  samebits::Action action;
  samebits::add_run_command(app, command_line(argc, argv), action);
  samebits::add_compare_command(app, action);
  samebits::add_report_command(app, action);
  samebits::add_blame_command(app, action);
  samebits::add_reduce_command(app, action);
  samebits::add_bisect_command(app, action);
  samebits::add_bless_command(app, action);
  samebits::add_logprobs_command(app, action);
  samebits::add_generate_command(app, action);
  samebits::add_bench_command(app, action);
  samebits::add_doctor_command(app, action);
  samebits::add_repro_command(app, action);
  samebits::add_why_command(app, action);
  samebits::add_check_command(app, action);
  samebits::add_rank_command(app, action);
  samebits::add_supervise_command(app, action);
  if (argc > 1) check_command(app, argv[1]);
  int code = 0;
  try {
    app.parse(argc, argv);
    if (!certificates.empty()) {
      samebits::check_output(certificates);  // rather than when the first is to be added
      samebits::use_certificates(certificates);
    }
    code = action();
  } catch (const CLI::ParseError& error) {
    code = usage(app, error);
  }
  samebits::finish_output();
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  wait_without_spinning(argv);
  samebits::prepare_streams();
  try {
    CLI::App app("Runs the same Qwen3 workload in several arms and compares them bit for bit.",
                 "samebits");
    app.require_subcommand(1);
    app.set_version_flag("--version", samebits::version_text());
    return run(app, argc, argv);
  } catch (const samebits::InputError& error) {
    return complain(kBadInput, error.what());
  } catch (const samebits::RunError& error) {
    return complain(kRunBroke, error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    return complain(code_of(error),
                    fmt::format("{}: {}", error.path1().string(), error.code().message()));
  } catch (const std::bad_alloc&) {
    return complain(kRunBroke, "out of memory");
  } catch (const c10::Error& error) {
    return complain(kRunBroke, samebits::error_line(error));
  } catch (const std::exception& error) {
    return complain(kRunBroke, error.what());
  }
}
