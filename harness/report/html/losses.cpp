#include <algorithm>
#include <cmath>

#include "harness/base/json.h"
#include "harness/compare/relation.h"
#include "harness/report/curve.h"
#include "harness/report/html/parts.h"
#include "harness/report/html/picture.h"

namespace samebits {
namespace {

constexpr size_t kMostPoints = 400;

const std::vector<Shade> kLineShades = {{"s0", ""}, {"s1", ""}, {"s2", ""},
                                        {"s3", ""}, {"s4", ""}, {"s5", ""}};

std::string arms_of(const ReportRecord::LossSeries& series) {
  const auto is_finite = [](const std::optional<double>& loss) {
    return loss && std::isfinite(*loss);
  };
  if (std::none_of(series.values.begin(), series.values.end(), is_finite)) {
    return list_text(series.arms) + " (NaN or infinite: no line)";
  }
  return list_text(series.arms) + (series.arms.size() > 1 ? " (equal to the bit)" : "");
}

Html key_of_lines(const ReportRecord& record) {
  std::vector<Shade> key;
  for (size_t i = 0; i < record.losses.size(); ++i) {
    key.push_back({shade_of_line(kLineShades, i).css, arms_of(record.losses[i])});
  }
  return legend_html(key);
}

Plot plot_over_steps(const ReportRecord& record, std::string title) {
  Plot plot;
  plot.title = std::move(title);
  plot.left = "step " + std::to_string(record.steps.front().step);
  if (record.steps.size() > 1) plot.right = "step " + std::to_string(record.steps.back().step);
  return plot;
}

// Nothing where no arm has a finite loss.
Html values_plot(const ReportRecord& record) {
  Plot plot = plot_over_steps(record, "Loss by step");
  for (const ReportRecord::LossSeries& series : record.losses) {
    plot.lines.push_back(thinned(series.values, kMostPoints));
  }
  const std::optional<CurveRange> range = range_of(plot.lines);
  if (!range) return {};
  plot.range = *range;
  plot.top = shortest_text(static_cast<float>(range->high));
  if (range->low < range->high) plot.bottom = shortest_text(static_cast<float>(range->low));
  return plot_html(plot, kLineShades);
}

// Nothing where all losses are equal.
Html distance_plot(const ReportRecord& record) {
  Plot plot = plot_over_steps(record, "Distance of the losses by step, in ULP");
  uint64_t farthest = 0;
  for (const ReportRecord::LossSeries& series : record.losses) {
    plot.lines.push_back(thinned(powers_of(series.distance), kMostPoints));
    for (const std::optional<uint64_t>& ulp : series.distance) {
      farthest = std::max(farthest, ulp.value_or(0));
    }
  }
  if (farthest == 0) return {};
  plot.range = {0, std::log2(1 + static_cast<double>(farthest))};
  plot.top = ulp_text(farthest);
  plot.bottom = "equal";
  return plot_html(plot, kLineShades);
}

// Of a run of one step, which has no curve.
Table single_losses(const ReportRecord& record) {
  Table table{{{"arms", false}, {"loss", true}, {"distance", true}}, {}};
  for (const ReportRecord::LossSeries& series : record.losses) {
    if (!series.values.front()) continue;
    const std::optional<uint64_t>& ulp = series.distance.front();
    const bool is_float = static_cast<float>(*series.values.front()) == *series.values.front();
    table.rows.push_back({arms_of(series),
                          is_float ? shortest_text(static_cast<float>(*series.values.front()))
                                   : shortest_text(*series.values.front()),
                          !ulp        ? ""
                          : *ulp == 0 ? "equal"
                                      : ulp_text(*ulp)});
  }
  return table;
}

}  // namespace

Html losses_html(const ReportRecord& record) {
  if (record.steps.size() == 1) {
    const Table losses = single_losses(record);
    return losses.rows.empty() ? Html() : table_html(losses, "Losses of the only step");
  }
  const Html values = record.steps.empty() ? Html() : values_plot(record);
  if (values.empty()) return {};
  Html html = key_of_lines(record) + Html::element("h3", {}, "Loss") + values;
  const Html distances = distance_plot(record);
  if (distances.empty()) {
    const bool is_one_line = record.losses.size() == 1 && record.arms.size() > 1;
    return html + Html::element("p", {},
                                is_one_line ? "All arms have the same losses, to the bit: one line."
                                            : "No two losses of one step differ.");
  }
  const std::string first = record.losses.front().arms.front();
  return html + Html::element("h3", {}, "Distance from " + first + ", in ULP, by powers of two") +
         distances;
}

}  // namespace samebits
