#include <algorithm>

#include "harness/report/html/parts.h"
#include "harness/report/html/picture.h"

namespace samebits {
namespace {

using Node = CallGraph::Node;

const std::vector<Shade> kStateShades = {
    {"equal", "equal to the bit"}, {"all", "differs"}, {"only", "in the first arm only"}};

constexpr size_t kMostNodes = 20;
constexpr size_t kMostInputs = 5;  // of one call
constexpr double kRowHeight = 10;  // of the drawing; a box fills the middle of its row
constexpr double kRowWidth = 100;

const Shade& shade_of(const Node& node) { return kStateShades[static_cast<size_t>(node.state)]; }

// Nodes of a graph in rows, each below its inputs: the last, then those that led to it, the nearest
// first, and of the inputs of one call those that are not equal before others.
class Rows {
 public:
  explicit Rows(const CallGraph& graph) : graph_(graph), is_drawn_(graph.nodes.size()) {
    std::vector<size_t> chosen = {graph.nodes.size() - 1};
    is_drawn_[chosen.front()] = true;
    for (size_t i = 0; i < chosen.size(); ++i) {
      for (const size_t input : nearest_inputs(graph.nodes[chosen[i]])) {
        if (is_drawn_[input] || chosen.size() == kMostNodes) continue;
        is_drawn_[input] = true;
        chosen.push_back(input);
      }
    }
    place();
  }

  size_t left_out() const {
    return static_cast<size_t>(std::count(is_drawn_.begin(), is_drawn_.end(), false));
  }
  const std::vector<std::vector<size_t>>& rows() const { return rows_; }
  bool is_drawn(size_t node) const { return is_drawn_[node]; }

  double middle(size_t node) const {
    const std::vector<size_t>& row = rows_[rows_of_[node]];
    const auto place = std::find(row.begin(), row.end(), node) - row.begin();
    return (static_cast<double>(place) + 0.5) * kRowWidth / static_cast<double>(row.size());
  }
  double top(size_t node) const {
    return (static_cast<double>(rows_of_[node]) + 0.15) * kRowHeight;
  }
  double bottom(size_t node) const {
    return (static_cast<double>(rows_of_[node]) + 0.85) * kRowHeight;
  }

 private:
  std::vector<size_t> nearest_inputs(const Node& node) const {
    std::vector<size_t> inputs = node.inputs;
    std::stable_partition(inputs.begin(), inputs.end(), [&](size_t input) {
      return graph_.nodes[input].state != CallGraph::State::kEqual;
    });
    inputs.resize(std::min(inputs.size(), kMostInputs));
    return inputs;
  }

  void place() {
    rows_of_.resize(graph_.nodes.size(), 0);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      for (const size_t input : graph_.nodes[i].inputs) {
        if (is_drawn(i) && is_drawn(input)) {
          rows_of_[i] = std::max(rows_of_[i], rows_of_[input] + 1);
        }
      }
    }
    // What came in stands right above the first call that takes it.
    for (size_t i = graph_.nodes.size(); i-- > 0;) {
      for (const size_t input : graph_.nodes[i].inputs) {
        const bool came_in = is_drawn(input) && graph_.nodes[input].inputs.empty();
        if (is_drawn(i) && came_in && rows_of_[i] > 0) rows_of_[input] = rows_of_[i] - 1;
      }
    }
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (!is_drawn(i)) continue;
      rows_.resize(std::max(rows_.size(), rows_of_[i] + 1));
      rows_[rows_of_[i]].push_back(i);
    }
  }

  const CallGraph& graph_;
  std::vector<bool> is_drawn_;
  std::vector<size_t> rows_of_;  // by node
  std::vector<std::vector<size_t>> rows_;
};

Html edges_svg(const CallGraph& graph, const Rows& rows) {
  Html paths;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const size_t input : graph.nodes[i].inputs) {
      if (!rows.is_drawn(i) || !rows.is_drawn(input)) continue;
      const std::string line = "M" + drawn(rows.middle(input)) + " " + drawn(rows.bottom(input)) +
                               "L" + drawn(rows.middle(i)) + " " + drawn(rows.top(i));
      paths += Html::element(
          "path",
          {{"class", std::string("line ") + std::string(shade_of(graph.nodes[input]).css.text)},
           {"d", line}});
    }
  }
  const double height = static_cast<double>(rows.rows().size()) * kRowHeight;
  return Html::element("svg",
                       {{"viewBox", "0 0 " + drawn(kRowWidth) + " " + drawn(height)},
                        {"preserveAspectRatio", "none"},
                        {"aria-hidden", "true"}},
                       paths);
}

Html box_html(const Node& node) {
  const std::string css = "box " + std::string(shade_of(node).css.text);
  const std::string& title = node.name.empty() ? node.site : node.name;
  Html text = Html::element("strong", {}, title);
  if (!node.name.empty() && !node.site.empty()) text += Html::element("span", {}, node.site);
  return Html::element("div", {{"class", css}, {"title", title + ": " + shade_of(node).word}},
                       text);
}

std::string note_of(const CallGraph& graph, size_t left_out) {
  std::string note = "From top to bottom: what came in, and the calls of " + graph.a +
                     " that made the value of it, views left out.";
  if (left_out > 0) note += " " + std::to_string(left_out) + " more are not drawn.";
  if (!graph.only_in_b.empty()) {
    note += " Calls that " + graph.b + " alone made: ";
    for (size_t i = 0; i < graph.only_in_b.size(); ++i) {
      note += (i == 0 ? "" : ", ") + graph.only_in_b[i];
    }
    note += '.';
  }
  return note;
}

}  // namespace

Html calls_html(const CallGraph& graph) {
  const Rows rows(graph);
  Html layers;
  for (const std::vector<size_t>& row : rows.rows()) {
    Html boxes;
    for (const size_t node : row) boxes += box_html(graph.nodes[node]);
    layers += Html::element("div", {{"class", "layer"}}, boxes);
  }
  const std::string caption = graph.place + ": the calls that led to it";
  return Html::element(
      "figure", Html::element("figcaption", {}, caption) + legend_html(kStateShades) +
                    Html::element("div",
                                  {{"class", "calls"},
                                   {"style", "--rows:" + std::to_string(rows.rows().size())}},
                                  edges_svg(graph, rows) + layers) +
                    Html::element("p", {{"class", "note"}}, note_of(graph, rows.left_out())));
}

}  // namespace samebits
