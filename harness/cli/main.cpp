// samebits's command line. Flags and environment are read here and nowhere below.

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>

#include "harness/cli/commands.h"
#include "harness/core/device_error.h"
#include "harness/core/environment.h"
#include "harness/core/error.h"
#include "harness/kernels/device.h"

namespace {

constexpr int kBadInput = 2;
constexpr int kRunBroke = 3;

int complain(int code, const std::string& line) {
  fmt::print(stderr, "samebits: {}\n", line);
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

}  // namespace

int main(int argc, char** argv) {
  wait_without_spinning(argv);
  CLI::App app("Runs the same Qwen3 workload in several arms and compares them bit for bit.",
               "samebits");
  app.require_subcommand(1);
  app.set_version_flag("--version", samebits::version_text());
  std::string certificates;
  app.add_option("--certificates", certificates,
                 "remembers, from run to run, which algorithms of cuBLASLt gave our kernels' bytes")
      ->envname("SAMEBITS_CERTIFICATES");
  samebits::Action action;
  samebits::add_run_command(app, command_line(argc, argv), action);
  samebits::add_compare_command(app, action);
  samebits::add_report_command(app, action);
  samebits::add_bless_command(app, action);
  samebits::add_logprobs_command(app, action);
  samebits::add_generate_command(app, action);
  samebits::add_bench_command(app, action);
  samebits::add_doctor_command(app, action);
  samebits::add_repro_command(app, action);
  samebits::add_check_command(app, action);
  try {
    app.parse(argc, argv);
    if (!certificates.empty()) samebits::use_certificates(certificates);
    return action();
  } catch (const CLI::ParseError& error) {
    // --help is not an error; everything else is bad usage.
    if (error.get_exit_code() == 0) return app.exit(error);
    return complain(kBadInput, fmt::format("{}; see --help", error.what()));
  } catch (const samebits::InputError& error) {
    return complain(kBadInput, error.what());
  } catch (const samebits::RunError& error) {
    return complain(kRunBroke, error.what());
  } catch (const std::bad_alloc&) {
    return complain(kRunBroke, "out of memory");
  } catch (const c10::Error& error) {
    return complain(kRunBroke, samebits::error_line(error));
  } catch (const std::exception& error) {
    return complain(kRunBroke, error.what());
  }
}
