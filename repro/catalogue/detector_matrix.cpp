#include "repro/catalogue/detector_matrix.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <random>
#include <utility>

#include "harness/detect/detectors.h"
#include "harness/report/table.h"
#include "repro/catalogue/catalogue.h"

namespace samebits {
namespace {

struct Named {
  DetectorMatrix::Row* row;
  std::function<Subject()> subject;
};

size_t findings_of(const DetectorMatrix::Row& row) {
  size_t all = 0;
  for (const size_t findings : row.findings) all += findings;
  return all;
}

std::vector<std::string> sides(const std::vector<DetectorMatrix::Row>& rows, bool is_to_find,
                               bool is_found) {
  std::vector<std::string> names;
  for (const DetectorMatrix::Row& row : rows) {
    if (row.is_to_find == is_to_find && (findings_of(row) > 0) == is_found)
      names.push_back(row.side);
  }
  return names;
}

std::string verdict_of(const DetectorMatrix::Row& row) {
  const bool is_found = findings_of(row) > 0;
  if (row.is_to_find) return is_found ? "found" : "MISSED";
  return is_found ? "FALSE ALARM" : "silent";
}

std::string list_of(const std::vector<std::string>& names) {
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::vector<std::string> DetectorMatrix::missed() const { return sides(rows, true, false); }

std::vector<std::string> DetectorMatrix::false_alarms() const { return sides(rows, false, true); }

std::string DetectorMatrix::markdown() const {
  Table table{{{"side"}}, {}};
  for (const Detector& detector : detectors()) table.columns.push_back({detector.number, true});
  table.columns.push_back({"together"});
  for (const Row& row : rows) {
    std::vector<std::string> cells{row.side};
    for (const size_t findings : row.findings) {
      cells.push_back(findings == 0 ? "" : std::to_string(findings));
    }
    cells.push_back(verdict_of(row));
    table.rows.push_back(std::move(cells));
  }
  return fmt::format("{}\nMissed: {}. False alarms: {}.\n", table.markdown(Table::Cells::kMarkdown),
                     list_of(missed()), list_of(false_alarms()));
}

DetectorMatrix detector_matrix() {
  std::vector<std::pair<DetectorMatrix::Row, std::function<Subject()>>> sides;
  for (const Repro& repro : catalogue()) {
    sides.push_back(
        {{repro.name + " buggy", true, {}}, [&repro] { return repro.subject(Side::kBuggy); }});
    for (const Failure& failure : repro.also) {
      sides.push_back(
          {{fmt::format("{} buggy, {}", repro.name, failure.what), true, {}}, failure.subject});
    }
    sides.push_back(
        {{repro.name + " fixed", false, {}}, [&repro] { return repro.subject(Side::kFixed); }});
    for (const Passing& passing : repro.also_passes) {
      sides.push_back(
          {{fmt::format("{} fixed, {}", repro.name, passing.what), !passing.found_by.empty(), {}},
           passing.subject});
    }
  }
  DetectorMatrix matrix;
  std::vector<Named> hidden;
  for (auto& [row, subject] : sides) matrix.rows.push_back(std::move(row));
  for (size_t i = 0; i < sides.size(); ++i) hidden.push_back({&matrix.rows[i], sides[i].second});
  // The same order on every machine. NOLINTNEXTLINE(bugprone-random-generator-seed)
  std::shuffle(hidden.begin(), hidden.end(), std::mt19937_64(20260225));
  for (const Named& side : hidden) {
    for (const Detector& detector : detectors()) {
      side.row->findings.push_back(detector.find(side.subject()).size());
    }
  }
  return matrix;
}

}  // namespace samebits
