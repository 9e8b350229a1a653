#include <fmt/format.h>

#include <filesystem>

#include "harness/base/error.h"
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

// One file an arm, in a folder of its own, which is how TensorBoard tells runs apart. The name is
// the one it looks for; where it has a time, ours has none.
void write_event_files(const RecordedRun& run, const std::filesystem::path& out) {
  for (const EventFile& file : tensorboard_files(run)) {
    make_folder(out / file.arm);
    write_text_file((out / file.arm / "events.out.tfevents.0.samebits").string(), file.bytes);
  }
}

int report(const ReportFlags& flags) {
  const bool is_folder = flags.format == "tensorboard" && !flags.is_brief;
  if (is_folder && flags.out.empty()) {
    throw InputError("--format tensorboard", "no --out", "the folder to write");
  }
  if (!is_folder && !flags.out.empty()) check_output(flags.out, {flags.folder});
  const RecordedRun run = read_run(flags.folder);
  const ReportRecord record = record_from(run);
  if (is_folder) {
    write_event_files(run, flags.out);
  } else {
    const std::string text =
        flags.is_brief ? console_summary(record) : report_in_format(record, run, flags.format);
    flags.out.empty() ? print_text(text) : write_text_file(flags.out, text);
  }
  if (!flags.out.empty()) say("report: {}\n", flags.out);
  return record.holds ? 0 : 1;
}

}  // namespace

void add_report_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("report", "render a recorded run again");
  const auto flags = std::make_shared<ReportFlags>();
  command->add_option("run", flags->folder, "the run's folder")->required()->check(not_empty());
  command->add_option("--format", flags->format,
                      "console, md, json, junit, html, trace or tensorboard");
  command->add_option("--out", flags->out, "the file to write, of tensorboard the folder")
      ->check(not_empty());
  command->add_flag("--brief", flags->is_brief, "the verdict and what failed, on the console");
  command->callback([flags, &action] { action = [flags] { return report(*flags); }; });
}

}  // namespace samebits
