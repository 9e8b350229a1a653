#include <fmt/format.h>

#include "harness/base/output.h"
#include "harness/cli/commands.h"
#include "harness/cli/validators.h"
#include "harness/report/writers.h"

namespace samebits {
namespace {

struct ReportFlags {
  std::string folder;
  std::string format = "console";
  bool is_brief = false;
};

}  // namespace

void add_report_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("report", "render a recorded run again");
  const auto flags = std::make_shared<ReportFlags>();
  command->add_option("run", flags->folder, "the run's folder")->required()->check(not_empty());
  command->add_option("--format", flags->format, "console, md, json or junit");
  command->add_flag("--brief", flags->is_brief, "the verdict and what failed, on the console");
  command->callback([flags, &action] {
    action = [flags] {
      const ReportRecord record = record_from_folder(flags->folder);
      print_text(flags->is_brief ? console_summary(record)
                                 : report_in_format(record, flags->format));
      return record.holds ? 0 : 1;
    };
  });
}

}  // namespace samebits
