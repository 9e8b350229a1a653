// samebits repro: the catalogue on the command line.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/output.h"
#include "harness/cli/commands.h"
#include "harness/detect/detectors.h"
#include "harness/kernels/device.h"
#include "repro/catalogue/bundle.h"
#include "repro/catalogue/catalogue.h"
#include "repro/catalogue/catalogue_table.h"
#include "repro/catalogue/detector_matrix.h"
#include "repro/catalogue/new_repro.h"
#include "repro/catalogue/upstream.h"
#include "repro/catalogue/upstream_table.h"

namespace samebits {
namespace {

std::filesystem::path folder_of(const Repro& repro) {
  std::filesystem::path folder = std::filesystem::path("repro") / repro.name;
  if (!std::filesystem::is_directory(folder)) {
    throw InputError("repro", "no folder " + folder.string() + " here",
                     "to be run in the root of the checkout");
  }
  return folder;
}

bool has_upstream_script(const Repro& repro) {
  return std::filesystem::exists(folder_of(repro) / "upstream.py");
}

std::filesystem::path upstream_script(const Repro& repro) {
  if (has_upstream_script(repro)) return folder_of(repro) / "upstream.py";
  throw InputError(
      "repro " + repro.name, "no upstream.py",
      fmt::format(
          "a repro for which torch itself is at fault; this one is shown by `samebits repro "
          "run {0}`, its text to file by `samebits repro issue {0}`",
          repro.name));
}

std::vector<const Repro*> chosen(const std::vector<std::string>& names) {
  std::vector<const Repro*> repros;
  for (const std::string& name : names) repros.push_back(&find_repro(name));
  if (names.empty()) {
    for (const Repro& repro : catalogue()) repros.push_back(&repro);
  }
  return repros;
}

// Those of `names` that show on a card, or all that do.
std::vector<const Repro*> chosen_on_card(const std::vector<std::string>& names) {
  if (const std::string missing = why_no_cuda(); !missing.empty()) {
    throw InputError("--device", "cuda; " + missing, "cpu, or a machine with an H100 or H200");
  }
  std::vector<const Repro*> repros;
  for (const Repro* repro : chosen(names)) {
    if (repro->on_card) {
      repros.push_back(repro);
    } else if (!names.empty()) {
      throw InputError("repro " + repro->name, "--device cuda", "cpu: a card says the same of it");
    }
  }
  return repros;
}

// "2.11.0, 2.15.0": the releases of torch in which a repro was seen to be live, "none", or "-"
// where none was asked.
std::string live_text(const std::vector<UpstreamState>& states) {
  std::vector<std::string> live;
  bool was_asked = false;
  for (const UpstreamState& each : states) {
    const std::string release = each.torch.substr(0, each.torch.find('+'));
    was_asked = was_asked || each.state != "not applicable";
    const bool is_known = std::find(live.begin(), live.end(), release) != live.end();
    if (each.state == "live" && !is_known) live.push_back(release);
  }
  if (!was_asked) return "-";
  return live.empty() ? "none" : fmt::format("{}", fmt::join(live, ", "));
}

int list(const std::string& format) {
  if (format == "md") {
    print_text(catalogue_table("."));
    return 0;
  }
  size_t width = 0;
  for (const Repro& repro : catalogue()) width = std::max(width, repro.name.size());
  const std::vector<UpstreamRow> asked = read_upstream_table("reports/upstream/README.md");
  say("{:<{}}  {:<6}  {:<20}  {}\n", "repro", width, "kind", "live in torch", "what");
  for (const Repro& repro : catalogue()) {
    say("{:<{}}  {:<6}  {:<20}  {}\n", repro.name, width, repro.is_silent ? "silent" : "loud",
        live_text(states_of(repro.name, asked)), repro.title);
  }
  return 0;
}

int show(const std::string& name) {
  print_text(read_text_file((folder_of(find_repro(name)) / "README.md").string()));
  return 0;
}

void print_findings(const std::function<Subject()>& subject) {
  for (const Detector& detector : detectors()) {
    const std::vector<std::string> found = detector.find(subject());
    if (found.empty()) continue;
    say("  {} finds {}: {}\n", detector.name, found.size(), found.front());
  }
}

using Run = std::function<Outcome(const Subject&)>;

// Whether it fails as the catalogue says. `subject` makes one anew for each who runs it, since a
// program may leave something behind.
bool run_failure(const std::string& name, const std::string& symptom,
                 const std::function<Subject()>& subject, const Run& run) {
  const Outcome outcome = run(subject());
  const bool as_described =
      outcome.went_wrong && outcome.evidence.find(symptom) != std::string::npos;
  say("{}: {}\n  {}\n", name, as_described ? "fails as described" : "does NOT fail as described",
      outcome.evidence);
  print_findings(subject);
  return as_described;
}

bool run_buggy(const Repro& repro) {
  bool all = run_failure(
      repro.name + " buggy", repro.symptom, [&] { return repro.subject(Side::kBuggy); }, repro.run);
  for (const Failure& failure : repro.also) {
    const std::string name = fmt::format("{} buggy, {}", repro.name, failure.what);
    const Run run = [&](const Subject& subject) { return repro.run_of(failure, subject); };
    all = run_failure(name, failure.symptom, failure.subject, run) && all;
  }
  return all;
}

bool run_passing(const std::string& name, const std::function<Subject()>& subject, const Run& run) {
  const Outcome outcome = run(subject());
  say("{}: {}\n  {}\n", name, outcome.went_wrong ? "FAILS" : "passes", outcome.evidence);
  print_findings(subject);
  return !outcome.went_wrong;
}

bool run_fixed(const Repro& repro) {
  bool all = run_passing(
      repro.name + " fixed", [&] { return repro.subject(Side::kFixed); }, repro.run);
  for (const Passing& passing : repro.also_passes) {
    const std::string name = fmt::format("{} fixed, {}", repro.name, passing.what);
    all = run_passing(name, passing.subject, repro.run) && all;
  }
  return all;
}

int run(const std::vector<std::string>& names, bool buggy, bool fixed) {
  bool all = true;
  for (const Repro* repro : chosen(names)) {
    if (buggy) all = run_buggy(*repro) && all;
    if (fixed) all = run_fixed(*repro) && all;
  }
  return all ? 0 : 1;
}

int run_on_card(const std::vector<std::string>& names, bool buggy, bool fixed) {
  bool all = true;
  for (const Repro* repro : chosen_on_card(names)) {
    const OnCard& card = *repro->on_card;
    const auto side = [&](Side which) { return [&card, which] { return card.subject(which); }; };
    if (buggy) {
      all = run_failure(repro->name + " buggy, on the card", card.symptom, side(Side::kBuggy),
                        card.run) &&
            all;
    }
    if (fixed) {
      all = run_passing(repro->name + " fixed, on the card", side(Side::kFixed), card.run) && all;
    }
  }
  return all ? 0 : 1;
}

// `python` is empty where nobody's torch is asked for its versions.
int issue(const std::string& name, const std::string& python) {
  const Repro& repro = find_repro(name);
  const std::string collected = python.empty() ? "" : collected_versions(python);
  const std::string text = read_text_file((folder_of(repro) / "issue.md").string());
  say("Title: {}\n\n", repro.title);
  print_text(text);
  if (has_upstream_script(repro)) {
    const std::string script = read_text_file((folder_of(repro) / "upstream.py").string());
    print_text("\n### Minimal code\n\n```python\n" + script + "```\n");
  }
  print_text("\n" + links_and_versions(repro, collected));
  return 0;
}

int lay_new(const std::string& name, const std::string& run_folder) {
  const std::filesystem::path folder = new_repro(name, run_folder, "repro");
  say("{}: README.md and issue.md, with what the run knows; repro.h and repro.cpp, to be written\n",
      folder.string());
  return 0;
}

int upstream(const std::vector<std::string>& names, const std::string& python) {
  std::vector<UpstreamRow> rows;
  for (const Repro* repro : chosen(names)) {
    if (names.empty() && !has_upstream_script(*repro)) continue;
    rows.push_back({repro->name, ask_upstream(upstream_script(*repro), python)});
  }
  print_text(upstream_table(rows));
  return 0;
}

int print_matrix() {
  const DetectorMatrix matrix = detector_matrix();
  print_text(matrix.markdown());
  return matrix.missed().empty() && matrix.false_alarms().empty() ? 0 : 1;
}

// `python` is empty where what is committed is to be told.
Actual actual_of(const Repro& repro, const std::string& python) {
  if (!python.empty()) {
    return {"asked when this folder was written, on the machine below",
            {ask_upstream(upstream_script(repro), python)},
            collected_versions(python)};
  }
  return {"on x86_64 Linux with AVX-512, wheels from PyPI",
          states_of(repro.name, read_upstream_table("reports/upstream/README.md")),
          /*versions=*/""};
}

int bundle(const std::string& name, const std::string& python, const std::string& out) {
  const Repro& repro = find_repro(name);
  const std::filesystem::path folder = out.empty() ? "out/" + name : out;
  const std::filesystem::path repro_folder = upstream_script(repro).parent_path();
  write_bundle(repro, repro_folder, actual_of(repro, python), folder);
  say("{}: README.md and upstream.py, which need nothing of samebits\n", folder.string());
  return 0;
}

}  // namespace

void add_repro_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("repro", "the catalogue of upstream bugs beside their fixes");
  command->require_subcommand(1);
  struct Flags {
    std::string name;
    std::vector<std::string> names;
    bool buggy = false;
    bool fixed = false;
    bool both = false;
    std::string device = "cpu";
    std::string python = "python3";
    std::string run_folder;
    std::string format = "console";
    std::string asked_python;
    std::string out;
  };
  const auto flags = std::make_shared<Flags>();

  CLI::App* list_command = command->add_subcommand(
      "list", "every repro, a line each: loud ends in an error, silent in values");
  list_command
      ->add_option("--format", flags->format, "console, or md: the table of repro/README.md")
      ->check(CLI::IsMember({"console", "md"}));
  list_command->callback([flags, &action] { action = [flags] { return list(flags->format); }; });

  CLI::App* show_command = command->add_subcommand("show", "what happened, and the fix");
  show_command->add_option("name", flags->name)->required();
  show_command->callback([flags, &action] { action = [flags] { return show(flags->name); }; });

  CLI::App* run_command = command->add_subcommand(
      "run", "runs both sides, or one; exit code 1 where a side does not do as described");
  run_command->add_option("name", flags->names, "all by default");
  auto* buggy = run_command->add_flag("--buggy", flags->buggy, "the side that fails");
  auto* fixed = run_command->add_flag("--fixed", flags->fixed, "the side that passes");
  run_command->add_flag("--both", flags->both, "both sides (the default)")
      ->excludes(buggy)
      ->excludes(fixed);
  run_command
      ->add_option("--device", flags->device, "cpu, or cuda: those that show otherwise on a card")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  run_command->callback([flags, &action] {
    action = [flags] {
      const bool buggy = flags->buggy || !flags->fixed;
      const bool fixed = flags->fixed || !flags->buggy;
      return flags->device == "cuda" ? run_on_card(flags->names, buggy, fixed)
                                     : run(flags->names, buggy, fixed);
    };
  });

  CLI::App* issue_command =
      command->add_subcommand("issue", "the text to file: a title, then Markdown");
  issue_command->add_option("name", flags->name)->required();
  issue_command->add_option("--python", flags->asked_python,
                            "an interpreter whose torch's collect_env fills in the versions");
  issue_command->callback(
      [flags, &action] { action = [flags] { return issue(flags->name, flags->asked_python); }; });

  CLI::App* new_command =
      command->add_subcommand("new", "creates repro/NAME from a recorded run whose arms diverge");
  new_command->add_option("name", flags->name, "of a-z, 0-9 and _")->required();
  new_command->add_option("--from", flags->run_folder, "the run's folder")->required();
  new_command->callback(
      [flags, &action] { action = [flags] { return lay_new(flags->name, flags->run_folder); }; });

  command
      ->add_subcommand("matrix",
                       "what every detector finds in every side, told nothing of which it is; exit "
                       "code 1 where one is missed or is a false alarm")
      ->callback([&action] { action = [] { return print_matrix(); }; });

  CLI::App* upstream_command =
      command->add_subcommand("upstream", "asks an installed torch whether a bug is live");
  upstream_command->add_option("name", flags->names, "all that have a script by default");
  upstream_command->add_option("--python", flags->python, "the interpreter that has the torch");
  upstream_command->callback(
      [flags, &action] { action = [flags] { return upstream(flags->names, flags->python); }; });

  CLI::App* bundle_command = command->add_subcommand(
      "bundle", "a folder that shows a bug on stock torch alone: its script, what it should say");
  bundle_command->add_option("name", flags->name)->required();
  bundle_command->add_option("--out", flags->out, "the folder, new or empty (default: out/NAME)");
  bundle_command->add_option("--python", flags->asked_python,
                             "an interpreter whose torch is asked, rather than telling of those in "
                             "reports/upstream/");
  bundle_command->callback([flags, &action] {
    action = [flags] { return bundle(flags->name, flags->asked_python, flags->out); };
  });
}

}  // namespace samebits
