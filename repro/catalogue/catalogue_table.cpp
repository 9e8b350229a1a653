#include "repro/catalogue/catalogue_table.h"

#include <algorithm>
#include <regex>

#include "harness/detect/detectors.h"
#include "harness/report/table.h"
#include "repro/catalogue/catalogue.h"
#include "repro/catalogue/upstream_table.h"

namespace samebits {
namespace {

bool is_found_by(const Detector& detector, const Repro& repro) {
  if (!detector.find(repro.subject(Side::kBuggy)).empty()) return true;
  for (const Failure& failure : repro.also) {
    if (!detector.find(failure.subject()).empty()) return true;
  }
  return false;
}

std::string finders_of(const Repro& repro) {
  std::string names;
  for (const Detector& detector : detectors()) {
    if (!is_found_by(detector, repro)) continue;
    names += (names.empty() ? "" : ", ") + detector.number;
  }
  return names;
}

// A torch that was asked on a machine with a card too has said more there.
bool is_said_elsewhere(const UpstreamState& state, const std::vector<UpstreamState>& states) {
  return state.state == "not applicable" &&
         std::any_of(states.begin(), states.end(), [&](const UpstreamState& other) {
           return other.torch == state.torch && other.state != state.state;
         });
}

std::string states_text(const std::vector<UpstreamState>& states, bool has_script) {
  if (!has_script) return "no script";
  std::string text;
  for (const UpstreamState& state : states) {
    if (is_said_elsewhere(state, states)) continue;
    text += (text.empty() ? "" : ", ") + state.state + " in " + state.torch;
  }
  return text.empty() ? "not asked" : text;
}

// Markdown for a link, an issue or pull request of GitHub by its short name: pytorch#175690.
std::string link_text(const std::string& url) {
  static const std::regex thread("https://github\\.com/[^/]+/([^/]+)/(?:issues|pull)/([0-9]+)");
  std::smatch found;
  if (!std::regex_match(url, found, thread)) return "<" + url + ">";
  return "[" + found.str(1) + "#" + found.str(2) + "](" + url + ")";
}

}  // namespace

std::string catalogue_table(const std::filesystem::path& root) {
  const auto asked = read_upstream_table(root / "reports/upstream/README.md");
  Table table{{{"repro"}, {"what"}, {"shows"}, {"found by"}, {"in torch"}, {"upstream"}}, {}};
  for (const Repro& repro : catalogue()) {
    const bool has_script = std::filesystem::exists(root / "repro" / repro.name / "upstream.py");
    table.rows.push_back({"[" + repro.name + "](" + repro.name + "/)", repro.title,
                          repro.is_silent ? "silent" : "loud", finders_of(repro),
                          states_text(states_of(repro.name, asked), has_script),
                          repro.links.empty() ? "none" : link_text(repro.links.front())});
  }
  return table.markdown(Table::Cells::kMarkdown);
}

}  // namespace samebits
