#include <algorithm>
#include <cmath>

#include "harness/report/html/parts.h"
#include "harness/report/html/picture.h"

namespace samebits {
namespace {

constexpr double kBarWidth = 1000;

Html stroke(const char* css, double x, double y, double to) {
  return Html::element("path",
                       {{"class", css}, {"d", "M" + drawn(x) + " " + drawn(y) + "H" + drawn(to)}});
}

// A bar to the middle, and a thin line from the fastest step to the slowest.
Html bar(const ReportRecord::Spread& spread, double longest, const char* css, double y) {
  const auto x = [&](double seconds) { return longest > 0 ? seconds / longest * kBarWidth : 0; };
  return stroke(css, 0, y, x(spread.median)) + stroke("range", x(spread.low), y, x(spread.high));
}

// "12.5 (11.9 to 14.2) ms": as many digits as clocks of a run are worth.
std::string spread_text(const ReportRecord::Spread& spread) {
  const bool is_short = spread.median < 1;
  const auto number = [&](double seconds) {
    const double shown = is_short ? 1000 * seconds : seconds;
    return drawn(shown < 100 ? shown : std::round(shown));
  };
  std::string text = number(spread.median);
  if (spread.low != spread.high) {
    text += " (" + number(spread.low) + " to " + number(spread.high) + ")";
  }
  return text + (is_short ? " ms" : " s");
}

Html name_cell(const std::string& text) { return Html::element("td", {{"class", "name"}}, text); }

Html number_cell(const std::string& text) {
  return Html::element("td", {{"class", "number"}}, text);
}

Html row_html(const ReportRecord::ArmRecord& arm, const ReportRecord::PhaseTotal& phase,
              double longest) {
  const std::string title = arm.name + ", " + phase.phase + ": wall clock " +
                            spread_text(phase.wall) + ", processor " + spread_text(phase.processor);
  const Html bars =
      Html::element("svg",
                    {{"viewBox", "0 0 1000 20"},
                     {"preserveAspectRatio", "none"},
                     {"role", "img"},
                     {"aria-label", title}},
                    Html::element("title", {}, title) + bar(phase.wall, longest, "wall", 5) +
                        bar(phase.processor, longest, "processor", 15));
  return Html::element("tr", name_cell(arm.name) + name_cell(phase.phase) +
                                 Html::element("td", {{"class", "bars"}}, bars) +
                                 number_cell(spread_text(phase.wall)) +
                                 number_cell(spread_text(phase.processor)));
}

}  // namespace

Html phases_html(const ReportRecord& record) {
  double longest = 0;
  std::vector<std::string> names;
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    for (const ReportRecord::PhaseTotal& phase : arm.phases) {
      longest = std::max({longest, phase.wall.high, phase.processor.high});
      if (std::find(names.begin(), names.end(), phase.phase) == names.end()) {
        names.push_back(phase.phase);
      }
    }
  }
  Html rows;
  for (const std::string& name : names) {
    for (const ReportRecord::ArmRecord& arm : record.arms) {
      for (const ReportRecord::PhaseTotal& phase : arm.phases) {
        if (phase.phase == name) rows += row_html(arm, phase, longest);
      }
    }
  }
  if (rows.empty()) return {};
  Html head;
  for (const char* title : {"arm", "phase", "a step"}) {
    head += Html::element("th", {{"scope", "col"}}, title);
  }
  for (const char* title : {"wall clock", "processor time"}) {
    head += Html::element("th", {{"scope", "col"}, {"class", "number"}}, title);
  }
  const std::vector<Shade> key = {{"wall", "wall clock"}, {"processor", "processor time"}};
  return legend_html(key) +
         Html::element(
             "div",
             {{"class", "scroll"}, {"tabindex", "0"}, {"role", "region"}, {"aria-label", "Phases"}},
             Html::element("table", Html::element("thead", Html::element("tr", head)) +
                                        Html::element("tbody", rows)));
}

}  // namespace samebits
