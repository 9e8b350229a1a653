#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "harness/cli/commands.h"
#include "harness/core/error.h"

namespace samebits {

void add_bench_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("bench", "the measurements behind the figures in README and reports");
  const auto names = std::make_shared<std::vector<std::string>>();
  command->add_option(
      "name", *names,
      "attention, decode, ledger, linear, pool, rollout, trace, with CUDA also cuda and "
      "kernels; all by default");
  command->callback([names, &action] {
    action = [names] {
      std::string program = "samebits bench";
      std::array<char*, 1> argv = {program.data()};
      int argc = 1;
      benchmark::Initialize(&argc, argv.data());
      const std::string filter =
          names->empty() ? "all" : fmt::format("^({})(/|$)", fmt::join(*names, "|"));
      // The library's own complaint would be a second line beside ours.
      std::ostringstream notes;
      benchmark::BenchmarkReporter* reporter = benchmark::CreateDefaultDisplayReporter();
      reporter->SetErrorStream(&notes);
      if (benchmark::RunSpecifiedBenchmarks(reporter, nullptr, filter) == 0) {
        throw InputError("bench", fmt::format("{}", fmt::join(*names, " ")),
                         "names of benchmarks, such as linear");
      }
      std::cerr << notes.str();
      return 0;
    };
  });
}

}  // namespace samebits
