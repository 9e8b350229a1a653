#include "harness/report/html/picture.h"

#include <cmath>
#include <cstdio>

namespace samebits {
namespace {

// The strokes of all cells of one shade.
std::string strokes_of(const CellGrid& grid, size_t shade) {
  std::string path;
  for (size_t y = 0; y < grid.height; ++y) {
    const uint8_t* row = &grid.shades[y * grid.width];
    size_t last = 0;  // where the stroke before ended in this row
    bool is_first = true;
    for (size_t x = 0; x < grid.width;) {
      size_t end = x;
      while (end < grid.width && row[end] == shade) ++end;
      if (end == x) {
        ++x;
        continue;
      }
      path += is_first ? "M" + std::to_string(x) + " " + std::to_string(y) + ".5"
                       : "m" + std::to_string(x - last) + " 0";
      path += "h" + std::to_string(end - x);
      is_first = false;
      last = end;
      x = end;
    }
  }
  return path;
}

Html svg_html(const std::string& view_box, const std::string& title, const Html& content) {
  return Html::element("svg",
                       {{"viewBox", view_box},
                        {"preserveAspectRatio", "none"},
                        {"role", "img"},
                        {"aria-label", title}},
                       Html::element("title", {}, title) + content);
}

constexpr double kPlotWidth = 1000;
constexpr double kPlotHeight = 200;
constexpr size_t kMostDots = 60;

// As a line, or as a dot for each value.
std::string path_of(const Curve& values, const CurveRange& scale, bool is_dots) {
  const double last = std::max<double>(static_cast<double>(values.size()) - 1, 1);
  const double range = scale.high > scale.low ? scale.high - scale.low : 1;
  std::string path;
  bool is_down = false;  // the pen
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i] || !std::isfinite(*values[i])) {
      is_down = false;
      continue;
    }
    const double x =
        values.size() == 1 ? kPlotWidth / 2 : static_cast<double>(i) / last * kPlotWidth;
    const double y = (1 - (*values[i] - scale.low) / range) * kPlotHeight;
    path += (is_down ? "L" : "M") + drawn(x) + " " + drawn(y);
    if (is_dots) path += "h0";
    is_down = !is_dots;
  }
  return path;
}

}  // namespace

std::string drawn(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", number);
  std::string shown = text;
  if (shown.ends_with(".0")) shown.resize(shown.size() - 2);
  return shown == "-0" ? "0" : shown;
}

Html grid_svg(const CellGrid& grid, const std::vector<Shade>& shades, const std::string& title) {
  Html paths;
  for (size_t shade = 1; shade < shades.size(); ++shade) {
    const std::string path = strokes_of(grid, shade);
    if (path.empty()) continue;
    paths += Html::element("path", {{"class", std::string(shades[shade].css.text)}, {"d", path}});
  }
  for (const char* css : {"halo", "frame"}) {  // seen on dark cells and on light ones
    if (!grid.marked) break;
    paths += Html::element("rect", {{"class", css},
                                    {"x", std::to_string(*grid.marked % grid.width)},
                                    {"y", std::to_string(*grid.marked / grid.width)},
                                    {"width", "1"},
                                    {"height", "1"}});
  }
  return svg_html("0 0 " + std::to_string(grid.width) + " " + std::to_string(grid.height), title,
                  Html::element("g", {{"class", "cells"}}, paths));
}

Html legend_html(const std::vector<Shade>& shades, size_t first) {
  Html items;
  for (size_t i = first; i < shades.size(); ++i) {
    const std::string css(shades[i].css.text);
    items += Html::element(
        "li", Html::element("span", {{"class", "swatch " + css}, {"aria-hidden", "true"}}) +
                  Html(shades[i].word));
  }
  return Html::element("ul", {{"class", "legend"}}, items);
}

const Shade& shade_of_line(const std::vector<Shade>& shades, size_t i) {
  return shades[i % shades.size()];
}

Html plot_html(const Plot& plot, const std::vector<Shade>& shades) {
  Html paths;
  for (size_t i = plot.lines.size(); i-- > 0;) {  // the first lies on top
    const std::string css(shade_of_line(shades, i).css.text);
    const auto path = [&](const std::string& what, bool is_dots) {
      return Html::element("path", {{"class", what + " " + css},
                                    {"d", path_of(plot.lines[i], plot.range, is_dots)}});
    };
    paths += path("line", false);
    if (plot.lines[i].size() <= kMostDots) paths += path("dots", true);
  }
  const auto span = [](const std::string& text) { return Html::element("span", {}, text); };
  const std::string box = "0 0 " + drawn(kPlotWidth) + " " + drawn(kPlotHeight);
  return Html::element(
      "div", {{"class", "plot"}},
      Html::element("div", {{"class", "y"}}, span(plot.top) + span(plot.bottom)) +
          Html::element("div", {{"class", "canvas"}}, svg_html(box, plot.title, paths)) +
          Html::element("div", {{"class", "x"}}, span(plot.left) + span(plot.right)));
}

}  // namespace samebits
