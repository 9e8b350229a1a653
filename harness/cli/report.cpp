#include <fmt/format.h>

#include "harness/base/file.h"
#include "harness/base/output.h"
#include "harness/cli/commands.h"
#include "harness/cli/validators.h"
#include "harness/report/writers.h"

namespace samebits {
namespace {

struct ReportFlags {
  std::string folder;
  std::string format = "console";
  std::string out;
  bool is_brief = false;
};

int report(const ReportFlags& flags) {
  if (!flags.out.empty()) check_output(flags.out, {flags.folder});
  const RecordedRun run = read_run(flags.folder);
  const ReportRecord record = record_from(run);
  const std::string text =
      flags.is_brief ? console_summary(record) : report_in_format(record, run, flags.format);
  flags.out.empty() ? print_text(text) : write_text_file(flags.out, text);
  if (!flags.out.empty()) say("report: {}\n", flags.out);
  return record.holds ? 0 : 1;
}

}  // namespace

void add_report_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("report", "render a recorded run again");
  const auto flags = std::make_shared<ReportFlags>();
  command->add_option("run", flags->folder, "the run's folder")->required()->check(not_empty());
  command->add_option("--format", flags->format, "console, md, json, junit, html or trace");
  command->add_option("--out", flags->out, "the file to write")->check(not_empty());
  command->add_flag("--brief", flags->is_brief, "the verdict and what failed, on the console");
  command->callback([flags, &action] { action = [flags] { return report(*flags); }; });
}

}  // namespace samebits
