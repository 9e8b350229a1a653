#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "harness/cli/commands.h"
#include "harness/core/environment.h"
#include "harness/core/error.h"
#include "harness/core/file.h"

namespace samebits {

void add_bench_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("bench", "the measurements behind the figures in README and reports");
  const auto names = std::make_shared<std::vector<std::string>>();
  command->add_option(
      "name", *names,
      "attention, busy, decode, generator, ledger, linear, pool, rollout, sync, trace, train, "
      "with CUDA also cuda, kernels and numerics, or a longer start of a name; all by default");
  const auto out = std::make_shared<std::string>();
  command->add_option("--out", *out, "also write the figures there, as JSON");
  command->callback([names, out, &action] {
    action = [names, out] {
      // The library ends the process, with a code of its own, where it cannot write.
      if (!out->empty()) write_text_file(*out, "");
      std::string program = "samebits bench";
      std::string file = "--benchmark_out=" + *out;
      std::array<char*, 2> argv = {program.data(), file.data()};
      int argc = out->empty() ? 1 : 2;
      benchmark::Initialize(&argc, argv.data());
      for (const auto& [name, value] : environment_report()) {
        benchmark::AddCustomContext(name, value);
      }
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
