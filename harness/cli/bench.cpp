#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sstream>
#include <string>
#include <vector>

#include "bench/generator_bench.h"
#include "harness/base/environment.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/output.h"
#include "harness/cli/commands.h"
#include "harness/cli/model_flags.h"

namespace samebits {
namespace {

// Shows the figures as they come and keeps them as JSON. The library's own file would be opened,
// and emptied, before anything is measured.
class Reporter : public benchmark::BenchmarkReporter {
 public:
  Reporter() {
    console_.SetOutputStream(&shown_);
    console_.SetErrorStream(&notes_);
    json_.SetOutputStream(&kept_);
    json_.SetErrorStream(&notes_);
    SetErrorStream(&notes_);  // the library's own complaint would be a second line beside ours
  }

  bool ReportContext(const Context& context) override {
    const bool goes_on = console_.ReportContext(context);
    print_shown();
    return json_.ReportContext(context) && goes_on;
  }
  void ReportRuns(const std::vector<Run>& runs) override {
    console_.ReportRuns(runs);
    print_shown();
    json_.ReportRuns(runs);
  }
  void Finalize() override {
    console_.Finalize();
    print_shown();
    json_.Finalize();
  }

  std::string notes() const { return notes_.str(); }
  std::string json() const { return kept_.str() + "\n"; }

 private:
  void print_shown() {
    print_text(shown_.str());
    shown_.str("");
  }

  std::ostringstream shown_, kept_, notes_;
  benchmark::ConsoleReporter console_{benchmark::ConsoleReporter::OO_None};
  benchmark::JSONReporter json_;
};

// What a model that is asked for is measured by.
std::vector<std::string> names_of_model(const std::vector<std::string>& names,
                                        const ModelFlags& model) {
  if (names != std::vector<std::string>{"generator"}) {
    throw InputError("bench", fmt::format("{} with --model", fmt::join(names, " ")),
                     "generator, the benchmark that takes a model");
  }
  return {"generator/" + add_generator_benchmarks(model.arm())};
}

int run_bench(std::vector<std::string> names, const ModelFlags& model, const std::string& out) {
  if (!out.empty()) check_output(out);
  if (!model.model.empty()) names = names_of_model(names, model);
  std::string program = "samebits bench";
  char* argv[] = {program.data()};
  int argc = 1;
  benchmark::Initialize(&argc, argv);
  for (const auto& [name, value] : environment_report()) benchmark::AddCustomContext(name, value);
  const std::string filter =
      names.empty() ? "all" : fmt::format("^({})(/|$)", fmt::join(names, "|"));
  Reporter reporter;
  if (benchmark::RunSpecifiedBenchmarks(&reporter, nullptr, filter) == 0) {
    throw InputError("bench", fmt::format("{}", fmt::join(names, " ")),
                     "names of benchmarks, such as linear");
  }
  print_text(reporter.notes());
  if (!out.empty()) write_text_file(out, reporter.json());
  return 0;
}

}  // namespace

void add_bench_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "bench", "the measurements behind the figures in docs/speed.md and reports");
  const auto names = std::make_shared<std::vector<std::string>>();
  command->add_option(
      "name", *names,
      "attention, busy, decode, generator, ledger, linear, pool, rollout, sync, trace, train, "
      "with CUDA also cuda, kernels and numerics, or a longer start of a name; all by default");
  const auto model = std::make_shared<ModelFlags>();
  model->add_to(*command, /*is_required=*/false);
  const auto out = std::make_shared<std::string>();
  command->add_option("--out", *out, "also write the figures there, as JSON");
  command->callback([names, model, out, &action] {
    action = [names, model, out] { return run_bench(*names, *model, *out); };
  });
}

}  // namespace samebits
