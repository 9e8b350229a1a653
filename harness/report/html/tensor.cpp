#include <algorithm>

#include "harness/report/html/parts.h"
#include "harness/report/html/picture.h"

namespace samebits {
namespace {

const std::vector<Shade> kDistanceShades = {{"none", ""},
                                            {"equal", "equal to the bit"},
                                            {"d1", "1 ULP"},
                                            {"d2", "2 to 7 ULP"},
                                            {"d3", "8 to 63 ULP"},
                                            {"d4", "64 to 4095 ULP"},
                                            {"d5", "4096 ULP or more, or infinite"},
                                            {"d6", "NaN against a number"}};

const std::vector<Shade> kShareShades = {{"none", ""},
                                         {"equal", "none"},
                                         {"d1", "less than a tenth"},
                                         {"d2", "less than a quarter"},
                                         {"d3", "less than a half"},
                                         {"d4", "a half or more"}};

uint8_t shade_of_distance(uint64_t ulp) {
  if (ulp == 0) return 1;
  if (ulp == DistanceMap::kNan) return 7;
  if (ulp == 1) return 2;
  if (ulp < 8) return 3;
  if (ulp < 64) return 4;
  return ulp < 4096 ? 5 : 6;
}

uint8_t shade_of_share(int64_t different, int64_t elements) {
  if (different == 0) return 1;
  if (10 * different < elements) return 2;
  if (4 * different < elements) return 3;
  return 2 * different < elements ? 4 : 5;
}

// How many differing elements each index of a dimension has, in at most kLongestSide cells.
Html strip_svg(const TensorDifference& difference, size_t dim) {
  const std::vector<int64_t>& counts = difference.by_index[dim];
  const int64_t elements_of_index = difference.elements / difference.shape[dim];
  CellGrid grid;
  grid.width = std::min(counts.size(), DistanceMap::kLongestSide);
  grid.height = 1;
  for (size_t cell = 0; cell < grid.width; ++cell) {
    const size_t begin = cell * counts.size() / grid.width;
    const size_t end = (cell + 1) * counts.size() / grid.width;
    int64_t different = 0;
    for (size_t i = begin; i < end; ++i) different += counts[i];
    grid.shades.push_back(
        shade_of_share(different, static_cast<int64_t>(end - begin) * elements_of_index));
  }
  return grid_svg(
      grid, kShareShades,
      "Share of the elements that differ, by index of dimension " + std::to_string(dim));
}

Html strips_html(const TensorDifference& difference) {
  Html strips;
  for (size_t dim = 0; dim < difference.shape.size(); ++dim) {
    if (difference.shape[dim] < 2) continue;
    strips += Html::element("span", {},
                            "dim " + std::to_string(dim) + ", 0 to " +
                                std::to_string(difference.shape[dim] - 1)) +
              Html::element("div", {{"class", "canvas"}}, strip_svg(difference, dim));
  }
  if (strips.empty()) return {};
  return Html::element("h4", {}, "By index: the share of elements that differ") +
         legend_html(kShareShades, 1) + Html::element("div", {{"class", "strips"}}, strips);
}

Html facts_html(const TensorDifference& difference) {
  Html facts;
  for (const auto& [fact, value] : difference.facts()) {
    if (fact.starts_with("dim ")) continue;  // the strips
    facts += Html::element("dt", {}, fact) + Html::element("dd", {}, value);
  }
  return Html::element("dl", {}, facts);
}

// The elements themselves; nothing of a scalar.
Html map_html(const DistanceMap& map, const std::string& caption) {
  if (map.farthest.size() < 2) return {};
  CellGrid grid;
  grid.width = map.width;
  grid.height = map.height;
  for (const uint64_t ulp : map.farthest) grid.shades.push_back(shade_of_distance(ulp));
  const auto differs = [](uint64_t ulp) { return ulp != 0; };
  const auto first = std::find_if(map.farthest.begin(), map.farthest.end(), differs);
  if (first != map.farthest.end()) grid.marked = first - map.farthest.begin();
  std::string note = "Right: the last dimension, " + std::to_string(map.columns) +
                     " wide. Down: all others, " + std::to_string(map.rows) +
                     ". The frame is the first cell that differs.";
  const bool is_coarse =
      static_cast<int64_t>(map.height) < map.rows || static_cast<int64_t>(map.width) < map.columns;
  if (is_coarse) {
    note += " A cell of the " + std::to_string(map.height) + " x " + std::to_string(map.width) +
            " is a block of elements and has the colour of the farthest apart.";
  }
  const std::string shape =
      "--columns:" + std::to_string(map.width) + ";--rows:" + std::to_string(map.height);
  return legend_html(kDistanceShades, 1) +
         Html::element("div", {{"class", "map"}, {"style", shape}},
                       grid_svg(grid, kDistanceShades, caption)) +
         Html::element("p", {{"class", "note"}}, note);
}

}  // namespace

Html tensor_html(const KeptTensors& kept) {
  const std::string caption =
      kept.place + ": " + kept.a + " against " + kept.b + ", element by element";
  return Html::element("figure", Html::element("figcaption", {}, caption) +
                                     facts_html(kept.difference) + map_html(kept.map, caption) +
                                     strips_html(kept.difference));
}

}  // namespace samebits
