#include "harness/report/spread.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "harness/base/text.h"
#include "harness/compare/evidence.h"

namespace samebits {
namespace {

using Cell = OperatorSpread::Cell;

// "layers.3.attention.wo" of "layers.3.attention.wo#0", "logprob" of "logprob[3,0]",
// "layers.3.mlp#in" of "layers.3.mlp#in0".
std::string row_name(const std::string& site) {
  std::string name = site.substr(0, site.find('['));
  const size_t mark = site.find('#');
  if (mark == std::string::npos) return name;
  name = site.substr(0, std::min(mark, name.size()));
  std::string what = site.substr(mark);
  what.erase(what.find_last_not_of("0123456789") + 1);
  return what == "#" ? name : name + what;
}

// "layers.3" of a name in a layer; other names stay.
std::string layer_of(const std::string& name) {
  constexpr std::string_view kLayers = "layers.";
  const size_t at = name.find(kLayers);
  if (at == std::string::npos) return name;
  const size_t end = name.find('.', at + kLayers.size());
  return name.substr(0, end);
}

// One aligned observation: who it is, and whether both arms have the same.
struct Seen {
  size_t row = 0;
  size_t column = 0;
  size_t rank = 0;
  size_t position = 0;  // in the aligned streams of its rank
  bool is_different = false;
  bool is_only_one = false;

  bool differs() const { return is_different || is_only_one; }
};

// Numbers names in the order in which they come.
class Numbers {
 public:
  size_t of(const std::string& name) {
    const auto [at, is_new] = index_.try_emplace(name, names_.size());
    if (is_new) names_.push_back(name);
    return at->second;
  }
  const std::vector<std::string>& names() const { return names_; }

 private:
  std::unordered_map<std::string, size_t> index_;
  std::vector<std::string> names_;
};

// A site's row, and how often it was seen since the phase began.
struct Site {
  size_t row = 0;
  int64_t times = 0;
  size_t phase = 0;  // the running number of the phase in which it was seen last
};

// Columns by step, phase and call. Phases have the order in which they first came.
using ColumnKey = std::tuple<int64_t, size_t, int64_t>;

// Neighbours fall together until at most `most` are left.
size_t bucket_of(size_t i, size_t count, size_t most) {
  return count <= most ? i : i * most / count;
}

// Which rows are drawn: their names, and for each former row the one that it became.
struct Rows {
  std::vector<std::string> names;
  std::vector<size_t> of;

  bool are_few() const { return names.size() <= OperatorSpread::kMostRows; }

  // Rows of one group become one, which is named by the group.
  template <class GroupOf>
  void group_by(const GroupOf& group_of) {
    Numbers groups;
    std::vector<size_t> group;
    for (const std::string& name : names) group.push_back(groups.of(group_of(name)));
    for (size_t& row : of) row = group[row];
    names = groups.names();
  }

  // Neighbours become one, which is named by the first and the last of them.
  void join_neighbours() {
    constexpr size_t kMost = OperatorSpread::kMostRows;
    const size_t count = names.size();
    std::vector<std::string> joined(kMost);
    for (size_t i = 0; i < count; ++i) {
      const size_t bucket = bucket_of(i, count, kMost);
      const bool is_last = i + 1 == count || bucket_of(i + 1, count, kMost) != bucket;
      std::string& name = joined[bucket];
      if (name.empty()) {
        name = names[i];
      } else if (is_last) {
        name += " to " + names[i];
      }
    }
    for (size_t& row : of) row = bucket_of(row, count, kMost);
    names = std::move(joined);
  }
};

// Weights and what else is no operator's are the first to share a row; the operators of the layer
// in which the difference is born are the last.
Rows fewer_rows(const std::vector<std::string>& names, const std::vector<bool>& is_operator,
                const std::string& born) {
  Rows rows{names, {}};
  for (size_t i = 0; i < names.size(); ++i) rows.of.push_back(i);
  if (rows.are_few()) return rows;
  std::vector<std::string> groups;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string layer = layer_of(names[i]);
    groups.push_back(is_operator[i] || layer == names[i] ? names[i] : layer + " (weights)");
  }
  size_t next = 0;
  rows.group_by([&](const std::string&) { return groups[next++]; });
  if (rows.are_few()) return rows;
  const std::string layer_of_birth = layer_of(born);
  rows.group_by([&](const std::string& name) {
    const std::string layer = layer_of(name);
    return layer == layer_of_birth ? name : layer;
  });
  if (!rows.are_few()) rows.join_neighbours();
  return rows;
}

Cell worse(Cell cell, const Seen& seen) {
  if (cell == Cell::kOnlyOne || seen.is_only_one) return Cell::kOnlyOne;
  if (cell == Cell::kEmpty) return seen.is_different ? Cell::kAllDiffer : Cell::kEqual;
  const bool was_all = cell == Cell::kAllDiffer;
  const bool was_none = cell == Cell::kEqual;
  if (seen.is_different ? was_all : was_none) return cell;
  return Cell::kSomeDiffer;
}

constexpr size_t kLongestName = 200;

std::string shown_place(const Observation& shown) {
  return shortened(place_text(shown), kLongestName);
}

template <class Counts>
void count(Counts& counts, const Seen& seen, const Observation& shown) {
  seen.is_only_one ? ++counts.only_one : ++counts.compared;
  if (seen.is_different) ++counts.different;
  if (seen.differs() && counts.first.empty()) counts.first = shown_place(shown);
}

// Everything that two recordings have, in program order, rank by rank.
class Alignment {
 public:
  void add(const Observation& shown, Seen seen) {
    const size_t phase = phases_.of(shown.phase);
    if (shown.step != step_ || phase != phase_ || seen.rank != rank_) {
      ++running_phase_;
      step_ = shown.step;
      phase_ = phase;
      rank_ = seen.rank;
    }
    const auto [at, is_new] = sites_.try_emplace(shown.site);
    Site& site = at->second;
    if (is_new) {
      site.row = rows_.of(row_name(shown.site));
      if (site.row == is_operator_.size()) is_operator_.push_back(is_operator_site(shown.site));
    }
    if (is_new || site.phase != running_phase_) {
      site.times = 0;
      site.phase = running_phase_;
    }
    const ColumnKey key(shown.step, phase, site.times++);
    const auto [column, is_new_column] = columns_.try_emplace(key, columns_.size());
    seen.row = site.row;
    seen.column = column->second;
    seen_.push_back(seen);
    shown_.push_back(&shown);
  }

  // Columns in program order: for each as it was numbered, its place.
  std::vector<size_t> order() const {
    std::vector<size_t> order(columns_.size());
    size_t next = 0;
    for (const auto& [key, number] : columns_) order[number] = next++;
    return order;
  }

  const std::map<ColumnKey, size_t>& columns() const { return columns_; }
  const std::vector<std::string>& phases() const { return phases_.names(); }
  const std::vector<std::string>& rows() const { return rows_.names(); }
  const std::vector<bool>& is_operator() const { return is_operator_; }  // of each row
  const std::vector<Seen>& seen() const { return seen_; }
  const std::vector<const Observation*>& shown() const { return shown_; }  // one each

 private:
  Numbers phases_;
  Numbers rows_;
  std::vector<bool> is_operator_;
  std::unordered_map<std::string, Site> sites_;
  std::map<ColumnKey, size_t> columns_;
  std::vector<Seen> seen_;
  std::vector<const Observation*> shown_;
  int64_t step_ = -1;
  size_t phase_ = 0;
  size_t rank_ = 0;
  size_t running_phase_ = 0;
};

// The observations are borrowed from the recordings.
Alignment alignment_of(const ArmRecording& a, const ArmRecording& b, bool with_operators) {
  Alignment alignment;
  const size_t ranks = std::min(a.ranks.size(), b.ranks.size());
  for (size_t rank = 0; rank < ranks; ++rank) {
    const std::vector<Observation>& of_a = a.ranks[rank].observations;
    const std::vector<Observation>& of_b = b.ranks[rank].observations;
    size_t position = 0;
    for (const auto& [i, j] : align(of_a, of_b)) {
      const Observation& shown = i ? of_a[*i] : of_b[*j];
      ++position;
      if (!with_operators && is_operator_site(shown.site)) continue;
      Seen seen;
      seen.rank = rank;
      seen.position = position;
      seen.is_only_one = !i || !j;
      seen.is_different = !seen.is_only_one && bit_exact(of_a[*i], of_b[*j]) != Agreement::kHolds;
      alignment.add(shown, seen);
    }
  }
  return alignment;
}

// At most kMostColumns, and for each former column the new one.
std::vector<size_t> fewer_columns(const Alignment& alignment, OperatorSpread& spread) {
  constexpr size_t kMost = OperatorSpread::kMostColumns;
  std::vector<size_t> column_of = alignment.order();
  const size_t count = column_of.size();
  for (size_t& each : column_of) each = bucket_of(each, count, kMost);
  for (const auto& [key, number] : alignment.columns()) {  // in program order
    if (column_of[number] < spread.columns.size()) continue;
    const auto& [step, phase, call] = key;
    spread.columns.push_back({step, shortened(alignment.phases()[phase], kLongestName), call});
  }
  return column_of;
}

// A value that differs says more than one that only one arm has; then what came earlier.
auto urgency(const Seen& seen, const Observation& shown) {
  return std::tuple(!seen.is_different, shown.step, seen.position, seen.rank);
}

// The index of what differs first; nullopt where nothing does.
std::optional<size_t> birth_of(const Alignment& alignment) {
  std::optional<size_t> born;
  const std::vector<Seen>& seen = alignment.seen();
  for (size_t i = 0; i < seen.size(); ++i) {
    if (!seen[i].differs()) continue;
    const bool is_earlier = !born || urgency(seen[i], *alignment.shown()[i]) <
                                         urgency(seen[*born], *alignment.shown()[*born]);
    if (is_earlier) born = i;
  }
  return born;
}

}  // namespace

OperatorSpread spread_between(const ArmRecording& a, const ArmRecording& b,
                              bool compares_operators) {
  OperatorSpread spread;
  spread.a = a.arm;
  spread.b = b.arm;
  const Alignment alignment = alignment_of(a, b, compares_operators);
  const std::optional<size_t> born = birth_of(alignment);
  const std::string born_name = born ? alignment.rows()[alignment.seen()[*born].row] : "";
  const Rows rows = fewer_rows(alignment.rows(), alignment.is_operator(), born_name);
  for (const std::string& name : rows.names)
    spread.rows.push_back({shortened(name, kLongestName), 0, 0, 0, ""});
  const std::vector<size_t> column_of = fewer_columns(alignment, spread);
  spread.cells.resize(spread.rows.size() * spread.columns.size(), Cell::kEmpty);
  spread.ranks.resize(std::min(a.ranks.size(), b.ranks.size()));
  for (size_t i = 0; i < alignment.seen().size(); ++i) {
    const Seen& seen = alignment.seen()[i];
    const Observation& shown = *alignment.shown()[i];
    const size_t row = rows.of[seen.row];
    Cell& cell = spread.cells[row * spread.columns.size() + column_of[seen.column]];
    cell = worse(cell, seen);
    count(spread.rows[row], seen, shown);
    count(spread.ranks[seen.rank], seen, shown);
    spread.has_operators = spread.has_operators || is_operator_site(shown.site);
  }
  if (born) {
    const Seen& seen = alignment.seen()[*born];
    spread.born_row = rows.of[seen.row];
    spread.born_column = column_of[seen.column];
    spread.born = shown_place(*alignment.shown()[*born]);
  }
  return spread;
}

}  // namespace samebits
