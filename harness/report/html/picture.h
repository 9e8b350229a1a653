#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/report/curve.h"
#include "harness/report/html/element.h"

// Pictures as SVG of a page: they take the width that there is, their words stand beside them, and
// the same numbers give the same bytes.
namespace samebits {

// One colour of a picture and what it means.
struct Shade {
  HtmlName css;  // class of the style sheet
  std::string word;
};

// Cells in rows: one path a shade, where neighbours of a shade are one stroke.
struct CellGrid {
  size_t width = 0;
  size_t height = 0;
  std::vector<uint8_t> shades;   // [height * width]: index into the shades, 0 is not drawn
  std::optional<size_t> marked;  // a cell with a frame around it
};
Html grid_svg(const CellGrid& grid, const std::vector<Shade>& shades, const std::string& title);

// What each shade from `first` on means.
Html legend_html(const std::vector<Shade>& shades, size_t first = 0);

// Lines over steps. A value that is not there, or not finite, leaves a gap.
struct Plot {
  std::vector<Curve> lines;
  CurveRange range;  // from the bottom to the top
  std::string title;
  std::string top;  // what the largest value is called, and so on
  std::string bottom;
  std::string left;
  std::string right;
};
Html plot_html(const Plot& plot, const std::vector<Shade>& shades);

// The shade of the i-th line.
const Shade& shade_of_line(const std::vector<Shade>& shades, size_t i);

// A number of a drawing: at most one digit after the point.
std::string drawn(double number);

}  // namespace samebits
