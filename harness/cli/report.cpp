#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/report/writers.h"

namespace samebits {
namespace {

struct ReportFlags {
  std::string folder;
  std::string format = "console";
};

}  // namespace

void add_report_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("report", "render a recorded run again");
  const auto flags = std::make_shared<ReportFlags>();
  command->add_option("run", flags->folder, "the run's folder")->required();
  command->add_option("--format", flags->format, "console, md, json or junit");
  command->callback([flags, &action] {
    action = [flags] {
      fmt::print("{}", report_in_format(record_from_folder(flags->folder), flags->format));
      return 0;
    };
  });
}

}  // namespace samebits
