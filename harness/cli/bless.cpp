#include "harness/compare/bless.h"

#include <fmt/format.h>

#include <filesystem>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/base/output.h"
#include "harness/cli/commands.h"
#include "harness/cli/validators.h"
#include "harness/observe/manifest.h"
#include "harness/observe/run_files.h"
#include "harness/observe/run_folder.h"

namespace samebits {
namespace {

struct BlessFlags {
  std::string folder;
  std::string golden = "golden";
  std::string reason;
};

int run_bless(const BlessFlags& flags) {
  const std::filesystem::path folder = flags.folder;
  const std::optional<Manifest> manifest = read_manifest(folder);
  if (!manifest) throw InputError(flags.folder, "no manifest.json", "the folder of a finished run");
  if (const std::string damage = damage_of_case(folder, *manifest); !damage.empty()) {
    throw InputError(flags.folder, damage, "the case that was run");
  }
  const Case c = case_of_run(folder);
  std::vector<ArmRecording> recordings;
  for (const CaseArm& arm : c.arms) recordings.push_back(read_arm(folder / arm.name));
  check_markers(recordings, *manifest);
  const Json origin = read_json_file(folder / run_files::kOrigin);
  const Provenance provenance{
      manifest->command, flags.reason, manifest->environment,
      JsonReader(origin, (folder / run_files::kOrigin).string()).required("models").value()};
  for (const std::string& line : bless(flags.golden, c, recordings, provenance)) {
    say("{}\n", line);
  }
  return 0;
}

}  // namespace

void add_bless_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("bless", "make a run's streams golden");
  const auto flags = std::make_shared<BlessFlags>();
  command->add_option("run", flags->folder, "the run's folder")->required()->check(not_empty());
  command->add_option("--golden", flags->golden, "folder of blessed streams")->check(not_empty());
  command->add_option("--reason", flags->reason, "why a golden may change");
  command->callback([flags, &action] { action = [flags] { return run_bless(*flags); }; });
}

}  // namespace samebits
