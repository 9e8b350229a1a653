#include "harness/report/html/parts.h"
#include "harness/report/html/picture.h"

namespace samebits {
namespace {

using Cell = OperatorSpread::Cell;

const std::vector<Shade> kSpreadShades = {{"none", "not seen"},
                                          {"equal", "equal to the bit"},
                                          {"some", "some of its values differ"},
                                          {"all", "every value differs, whole or in part"},
                                          {"only", "seen by one arm only"}};

constexpr size_t kMostTableRows = 40;

CellGrid grid_of(const OperatorSpread& spread) {
  CellGrid grid;
  grid.width = spread.columns.size();
  grid.height = spread.rows.size();
  for (const Cell cell : spread.cells) grid.shades.push_back(static_cast<uint8_t>(cell));
  if (spread.differs()) grid.marked = *spread.born_row * grid.width + *spread.born_column;
  return grid;
}

// Neighbouring columns of one text.
struct Run {
  std::string text;
  size_t columns = 0;
};

std::vector<Run> runs_of(const OperatorSpread& spread,
                         std::string (*text_of)(const OperatorSpread::Column&)) {
  std::vector<Run> runs;
  int64_t step = -1;
  for (const OperatorSpread::Column& column : spread.columns) {
    const std::string text = text_of(column);
    if (runs.empty() || runs.back().text != text || column.step != step) runs.push_back({text, 0});
    step = column.step;
    ++runs.back().columns;
  }
  return runs;
}

// Over the picture: a field for each run of columns, as wide as they are.
Html band(const std::vector<Run>& runs) {
  Html fields;
  for (const Run& run : runs) {
    fields += Html::element(
        "span", {{"style", "flex:" + std::to_string(run.columns) + " 1 0"}, {"title", run.text}},
        run.text);
  }
  return Html::element("div", {{"class", "band"}, {"aria-hidden", "true"}}, fields);
}

// "step 0: rollout 21, train 1; step 1: ..." for who cannot see the bands; the first few steps.
std::string columns_text(const OperatorSpread& spread) {
  constexpr size_t kMost = 12;
  std::string text;
  int64_t step = -1;
  const std::vector<Run> runs = runs_of(spread, [](const auto& column) { return column.phase; });
  size_t column = 0;
  for (size_t i = 0; i < runs.size() && i < kMost; ++i) {
    const int64_t of = spread.columns[column].step;
    if (of != step) text += (i == 0 ? "step " : "; step ") + std::to_string(of) + ": ";
    if (of == step) text += ", ";
    step = of;
    text += runs[i].text + " " + std::to_string(runs[i].columns);
    column += runs[i].columns;
  }
  return runs.size() > kMost ? text + "; and so on" : text;
}

Html row_labels(const OperatorSpread& spread) {
  Html labels;
  for (size_t i = 0; i < spread.rows.size(); ++i) {
    const OperatorSpread::Row& row = spread.rows[i];
    const bool is_born = spread.born_row == i;
    const char* css = is_born ? "born" : row.first.empty() ? "" : "differs";
    labels += Html::element("span", {{"class", css}, {"title", row.name}},
                            (is_born ? "first: " : "") + row.name);
  }
  return Html::element("div", {{"class", "labels"}, {"aria-hidden", "true"}}, labels);
}

std::string counts_of(int64_t different, int64_t compared, int64_t only_one) {
  std::string text = std::to_string(different) + " of " + std::to_string(compared);
  if (only_one > 0) text += ", " + std::to_string(only_one) + " seen by one only";
  return text;
}

Table rows_table(const OperatorSpread& spread) {
  Table table{{{"site", false}, {"differ", true}, {"first", false}}, {}};
  for (const OperatorSpread::Row& row : spread.rows) {
    if (row.first.empty() || table.rows.size() == kMostTableRows) continue;
    table.rows.push_back(
        {row.name, counts_of(row.different, row.compared, row.only_one), row.first});
  }
  return table;
}

Table ranks_table(const OperatorSpread& spread) {
  Table table{{{"rank", true}, {"differ", true}, {"first", false}}, {}};
  for (size_t rank = 0; rank < spread.ranks.size() && spread.ranks.size() > 1; ++rank) {
    const OperatorSpread::Rank& each = spread.ranks[rank];
    table.rows.push_back({std::to_string(rank),
                          counts_of(each.different, each.compared, each.only_one),
                          each.first.empty() ? "none" : each.first});
  }
  return table;
}

std::string caption_of(const Pictures::Spread& spread) {
  const OperatorSpread& between = spread.between;
  size_t touched = 0;
  for (const OperatorSpread::Row& row : between.rows) touched += row.first.empty() ? 0 : 1;
  const std::string pair = between.a + " and " + between.b;
  std::string text = spread.is_closer_look ? pair + ", run again at level op as far as they part"
                                           : pair + ", the whole run";
  if (spread.is_control) text += " (a control: it was to diverge)";
  return text + ". Born at " + between.born + "; it reaches " + std::to_string(touched) + " of " +
         std::to_string(between.rows.size()) + " rows.";
}

}  // namespace

Html spread_html(const Pictures::Spread& spread) {
  const OperatorSpread& between = spread.between;
  const std::string caption = caption_of(spread);
  const std::string height = std::to_string(between.rows.size());
  const Html gap = Html::element("div", {}, "");
  const Html picture =
      gap +
      band(runs_of(between,
                   [](const auto& column) { return "step " + std::to_string(column.step); })) +
      gap + band(runs_of(between, [](const auto& column) { return column.phase; })) +
      row_labels(between) +
      Html::element("div", {{"class", "canvas"}, {"style", "--rows:" + height}},
                    grid_svg(grid_of(between), kSpreadShades, caption));
  Html html = Html::element("figcaption", {}, caption) + legend_html(kSpreadShades, 1) +
              Html::element("div", {{"class", "spread"}}, picture);
  html +=
      Html::element("p", {{"class", "note"}},
                    "Rows are sites in program order, from top to bottom; columns are calls, "
                    "from left to right (" +
                        columns_text(between) + "). The frame is the first value that differs.");
  html += details_html("The rows that differ", table_html(rows_table(between), "Rows that differ"));
  const Table ranks = ranks_table(between);
  if (!ranks.rows.empty()) html += table_html(ranks, "What differs on each rank");
  return Html::element("figure", {}, html);
}

}  // namespace samebits
