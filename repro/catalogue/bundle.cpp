#include "repro/catalogue/bundle.h"

#include <fmt/format.h>

#include "harness/base/environment.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/report/markdown.h"
#include "harness/report/table.h"

namespace samebits {
namespace {

void check_is_new_or_empty(const std::filesystem::path& out) {
  if (!std::filesystem::exists(out)) return;
  const bool is_folder = std::filesystem::is_directory(out);
  if (is_folder && std::filesystem::is_empty(out)) return;
  throw InputError(out.string(), is_folder ? "a folder that is not empty" : "a file",
                   "no folder, or an empty one, for the bundle");
}

std::string actual_text(const Actual& actual) {
  if (actual.states.empty()) return "**Actual:** no torch has been asked yet.\n";
  Table table{{{"torch"}, {"state"}, {"evidence"}}, /*rows=*/{}};
  for (const UpstreamState& state : actual.states) {
    table.rows.push_back({markdown_text(state.torch), state.state, markdown_code(state.evidence)});
  }
  return fmt::format("**Actual**, {}:\n\n{}", actual.source,
                     table.markdown(Table::Cells::kMarkdown));
}

std::string bundle_readme(const Repro& repro, const std::string& issue, const Actual& actual) {
  return fmt::format(
      "# {}: {}\n\n"
      "{}\n"
      "### To reproduce\n\n"
      "    python3 upstream.py\n\n"
      "in this folder, with a Python that can import torch; the script needs nothing of samebits. "
      "`python3 -m venv DIR`,\n"
      "`DIR/bin/pip install torch==VERSION` and `DIR/bin` first in `PATH` make one of a version "
      "below. Its last line is JSON:\n"
      "the `torch` it met, the `state` of the bug in it (`live`, `fixed`, `changed`: fails in "
      "other words, `not applicable`) and the\n"
      "`evidence`.\n\n"
      "**Expected:** `\"state\": \"fixed\"`\n\n"
      "{}\n"
      "{}",
      repro.name, repro.title, issue, actual_text(actual),
      links_and_versions(repro, actual.versions));
}

}  // namespace

void write_bundle(const Repro& repro, const std::filesystem::path& folder, const Actual& actual,
                  const std::filesystem::path& out) {
  check_is_new_or_empty(out);
  const std::string issue = read_text_file((folder / "issue.md").string());
  const std::string script = read_text_file((folder / "upstream.py").string());
  make_folder(out);
  write_text_file((out / "upstream.py").string(), script);
  write_text_file((out / "README.md").string(), bundle_readme(repro, issue, actual));
}

std::string links_and_versions(const Repro& repro, const std::string& collected) {
  std::string text = "### Links\n\n";
  for (const std::string& link : repro.links) text += fmt::format("- {}\n", link);
  text += "\n### Versions\n\n";
  text +=
      collected.empty()
          ? "To be replaced by what `python3 -m torch.utils.collect_env` prints where the torch "
            "at fault is.\n\n"
          : fmt::format("```\n{}```\n\n", collected);
  text += "samebits, which shows the mechanism without that torch:\n\n```\n";
  for (const auto& [key, value] : environment_report()) {
    text += fmt::format("{:<16}  {}\n", key, value);
  }
  return text + "```\n";
}

}  // namespace samebits
