#include "harness/diagnose/why_golden.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "harness/base/environment.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json_difference.h"
#include "harness/case/case.h"
#include "harness/compare/golden.h"
#include "harness/diagnose/file_of_commit.h"
#include "harness/kernels/cpu/isa.h"
#include "harness/observe/arm_recording.h"
#include "harness/observe/run_files.h"
#include "harness/observe/run_folder.h"
#include "harness/run/origin.h"
#include "harness/run/run_arm.h"
#include "harness/workload/workload.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;
using Answer = GoldenPart::Answer;

// What an arm is run with.
struct Setup {
  Json settings;
  std::map<std::string, std::string> files = {};  // of the model, by name: other bytes than today's
  std::optional<Isa> isa = {};
};

// A part that can be put back, and how.
struct Change {
  GoldenPart part;
  std::function<void(Setup&)> put_back;
};

// Gives `json` what `from` has under a path of keys ("workload.optimizer.lr"), or takes it away
// where `from` has nothing there.
void copy_key(Json& json, const Json& from, const std::string& path) {
  const size_t dot = path.find('.');
  const std::string key = path.substr(0, dot);
  if (!from.contains(key)) {
    json.erase(key);
  } else if (dot == std::string::npos || !json.contains(key)) {
    json[key] = from.at(key);
  } else {
    copy_key(json[key], from.at(key), path.substr(dot + 1));
  }
}

// "98104804bc7b" of "0.1.0, commit 98104804bc7b-dirty"; "" where there is none.
std::string commit_of(const std::vector<std::pair<std::string, std::string>>& environment) {
  const std::string mark = "commit ";
  for (const auto& [key, value] : environment) {
    const size_t at = value.find(mark);
    if (key == "samebits" && at != std::string::npos) return value.substr(at + mark.size(), 12);
  }
  return "";
}

class Search {
 public:
  Search(const WhyOptions& options, const Golden& golden, const Case& c, Progress& progress)
      : options_(options),
        golden_(golden),
        case_(c),
        arm_(c.arm(golden.name)),
        progress_(progress),
        today_{Json::parse(arm_.canonical)} {
    int64_t steps = std::min(golden.steps, arm_.steps);
    if (options.steps > 0) steps = std::min(steps, options.steps);
    today_.settings["steps"] = steps;
  }

  WhyGolden run() {
    WhyGolden why;
    why.arm = arm_.name;
    why.moved = difference_of(today_, "as it is today");
    if (why.moved.empty()) return why;
    std::vector<Change> changes = changed_settings();
    std::vector<GoldenPart> others;
    add_changed_files(changes, others);
    put_back_each(changes);
    put_back_all(changes);
    add_kernels(changes);
    for (Change& each : changes) why.parts.push_back(std::move(each.part));
    why.parts.insert(why.parts.end(), others.begin(), others.end());
    add_versions(why.parts);
    why.bisection = bisection();
    return why;
  }

 private:
  // Where a run with this setup leaves the golden; "" where it gives the golden's bits.
  std::string difference_of(const Setup& setup, const std::string& what) {
    progress_.show(fmt::format("{}: {}", arm_.name, what));
    Json settings = setup.settings;
    settings.erase("keep");  // a golden has no tensors
    if (!setup.files.empty()) settings["model"] = model_with(setup).string();
    const Json json = {
        {"name", case_.name}, {"model", settings.at("model")}, {"arms", {{arm_.name, settings}}}};
    const Case c = parse_case(json.dump(), case_.file);
    const CaseArm& arm = c.arms.front();
    check_arm(arm);
    std::optional<IsaOverride> isa;
    if (setup.isa) isa.emplace(*setup.isa);
    Progress silent = Progress::silent();
    RunFolder folder = RunFolder::replace(options_.work / "run", c);
    run_arm(arm, Level::kStep, *folder.start_arm(arm.name, arm.mesh.processes()), silent);
    const GoldenCheck check =
        compare_with_golden(golden_, arm, read_whole_arm(folder.path() / arm.name));
    return check.status == GoldenCheck::Status::kDifferent ? check.text : "";
  }

  fs::path model_of(const Json& settings) const {
    return case_.file.parent_path() / settings.at("model").get<std::string>();
  }

  // The model's folder with some files of then.
  fs::path model_with(const Setup& setup) const {
    const fs::path folder = fs::absolute(options_.work / "model");
    fs::remove_all(folder);
    fs::copy(model_of(setup.settings), folder, fs::copy_options::recursive);
    for (const auto& [name, bytes] : setup.files) write_text_file((folder / name).string(), bytes);
    return folder;
  }

  std::vector<Change> changed_settings() const {
    const Json then = *golden_.settings_of(arm_.name);
    std::vector<Change> changes;
    for (const JsonDifference& each : differences(Json::parse(deciding_settings(then.dump())),
                                                  Json::parse(deciding_settings(arm_.canonical)))) {
      changes.push_back(
          {{each.key, each.first, each.second, Answer::kDidNot},
           [then, key = each.key](Setup& setup) { copy_key(setup.settings, then, key); }});
    }
    return changes;
  }

  // Files of the model: those that git can bring back are changes, the rest is told.
  void add_changed_files(std::vector<Change>& changes, std::vector<GoldenPart>& others) const {
    const std::string model = today_.settings.at("model").get<std::string>();
    const Json files =
        origin_of(select_arms(case_, {arm_.name}), Level::kStep).at("models").at(model);
    for (const auto& [name, digest] : files.items()) {
      const std::string now = digest.get<std::string>();
      const auto kept =
          std::find_if(golden_.files.begin(), golden_.files.end(),
                       [&, file = name](const auto& each) { return each.first == file; });
      std::string then = kept == golden_.files.end() ? "" : kept->second;
      if (then == now) {
        others.push_back({name, then, now, Answer::kSame});
        continue;
      }
      const auto bytes =
          file_of_commit(model_of(today_.settings) / name,
                         commit_of(golden_.provenance.environment), options_.work / "file");
      const std::string of_commit =
          bytes ? run_files::digest_of_file(options_.work / "file") : std::string();
      if (then.empty()) then = of_commit;
      if (!bytes || of_commit != then) {
        others.push_back({name, then, now, Answer::kUntried});
      } else if (then == now) {
        others.push_back({name, then, now, Answer::kSame});
      } else {
        changes.push_back({{name, then, now, Answer::kDidNot},
                           [file = name, old = *bytes](Setup& setup) { setup.files[file] = old; }});
      }
    }
  }

  void put_back_each(std::vector<Change>& changes) {
    for (Change& each : changes) {
      Setup setup = today_;
      each.put_back(setup);
      if (difference_of(setup, each.part.name + " put back").empty())
        each.part.answer = Answer::kMoved;
    }
  }

  // Where no part is it alone: all of them.
  void put_back_all(std::vector<Change>& changes) {
    const bool is_found = std::any_of(changes.begin(), changes.end(), [](const Change& each) {
      return each.part.answer == Answer::kMoved;
    });
    if (is_found || changes.size() < 2) return;
    Setup setup = today_;
    for (const Change& each : changes) each.put_back(setup);
    if (!difference_of(setup, "all of that put back").empty()) return;
    for (Change& each : changes) each.part.answer = Answer::kTogether;
  }

  // Of no bit, by contract: one that gives the golden's bits again is a broken kernel's trace.
  void add_kernels(std::vector<Change>& changes) {
    const Isa today = selected_isa();
    for (const Isa isa : supported_isas()) {
      if (isa == today) continue;
      Setup setup = today_;
      setup.isa = isa;
      const bool moved = difference_of(setup, std::string("kernels for ") + name_of(isa)).empty();
      changes.push_back(
          {{"kernels", name_of(isa), name_of(today), moved ? Answer::kMoved : Answer::kDidNot},
           {}});
    }
  }

  void add_versions(std::vector<GoldenPart>& parts) const {
    for (const auto& [key, now] : environment_report()) {
      const auto& before = golden_.provenance.environment;
      const auto then =
          std::find_if(before.begin(), before.end(),
                       [&, name = key](const auto& each) { return each.first == name; });
      const std::string was = then == before.end() ? "" : then->second;
      if (key == "cores") continue;
      parts.push_back({key, was, now, was == now ? Answer::kSame : Answer::kUntried});
    }
  }

  std::string bisection() const {
    const std::string commit = commit_of(golden_.provenance.environment);
    if (commit.empty() || commit == commit_of(environment_report())) return "";
    return fmt::format(
        "  git bisect start HEAD {}\n"
        "  git bisect run sh -c 'tools/build release --target samebits || exit 125; "
        "build/samebits run {} --arm {} --steps {} --golden {} --out out/bisect --force'\n",
        commit, case_.file.string(), arm_.name, today_.settings.at("steps").get<int64_t>(),
        options_.golden.parent_path().parent_path().string());
  }

  const WhyOptions& options_;
  const Golden& golden_;
  const Case& case_;
  const CaseArm& arm_;
  Progress& progress_;
  Setup today_;
};

}  // namespace

WhyGolden why_golden(const WhyOptions& options, Progress& progress) {
  const std::string case_name = options.golden.parent_path().filename().string();
  const Golden golden = read_golden(options.golden.parent_path().parent_path(), case_name,
                                    options.golden.stem().string());
  const Case c = load_case(options.case_file);
  if (c.name != case_name) {
    throw InputError(options.case_file.string() + ": name", quoted(c.name),
                     quoted(case_name) + ", as the golden's");
  }
  make_folder(options.work);
  return Search(options, golden, c, progress).run();
}

}  // namespace samebits
