#include "harness/compare/align.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <unordered_map>

namespace samebits {
namespace {

// A site around the number of a recorder's operator: "mlp/aten.mul.Tensor" and "#0" of
// "mlp/aten.mul.Tensor[1]#0". The whole site and nothing for any other.
struct SiteParts {
  std::string_view before;
  std::string_view behind;

  bool is_numbered() const { return !behind.empty(); }
  bool operator==(const SiteParts&) const = default;
};

SiteParts parts_of(std::string_view site) {
  const size_t output = site.rfind('#');
  const size_t slash = output == site.npos ? site.npos : site.rfind('/', output);
  if (slash == site.npos) return {site, {}};
  const size_t open = site.find('[', slash);
  const size_t close = open == site.npos ? site.npos : site.find(']', open);
  if (close == site.npos || close > output) return {site, {}};
  return {site.substr(0, open), site.substr(close + 1)};
}

// A module's operators of one kind are matched by shape: a program that has one more of them counts
// otherwise from there on.
bool is_same_place(const Observation& a, const Observation& b) {
  if (a.step != b.step || a.rank != b.rank || a.phase != b.phase) return false;
  const SiteParts parts = parts_of(a.site);
  if (!parts.is_numbered()) return a.site == b.site;
  return parts == parts_of(b.site) && a.shape == b.shape;
}

struct PlaceHash {
  size_t operator()(const Observation* seen) const {
    const SiteParts parts = parts_of(seen->site);
    size_t hash = std::hash<std::string_view>()(parts.before);
    const auto add = [&](size_t part) { hash = (hash ^ part) * 0x9e3779b97f4a7c15 + (hash >> 29); };
    add(std::hash<std::string_view>()(seen->phase));
    add(static_cast<size_t>(seen->step));
    add(static_cast<size_t>(seen->rank));
    if (parts.is_numbered()) {
      add(std::hash<std::string_view>()(parts.behind));
      for (const int64_t size : seen->shape) add(static_cast<size_t>(size));
    }
    return hash;
  }
};

struct PlaceEqual {
  bool operator()(const Observation* a, const Observation* b) const {
    return is_same_place(*a, *b);
  }
};

// Likewise, and the numbers of operators count.
struct SiteHash {
  size_t operator()(const Observation* seen) const {
    return PlaceHash()(seen) ^ std::hash<std::string_view>()(seen->site);
  }
};

bool is_same_site(const Observation& a, const Observation& b) {
  return a.site == b.site && is_same_place(a, b);
}

struct SiteEqual {
  bool operator()(const Observation* a, const Observation* b) const { return is_same_site(*a, *b); }
};

constexpr size_t kNone = static_cast<size_t>(-1);

// A part of a recording's observations: those of one step, or all from one on.
struct Part {
  const std::vector<Observation>& all;
  size_t begin;
  size_t end;

  size_t size() const { return end - begin; }
  const Observation& operator[](size_t i) const { return all[begin + i]; }
};

// For each of `b` from `begin` on, the one of `a` from there on that is Equal to it and as often
// seen before; kNone for none. The map is only looked up, never iterated.
template <typename Hash, typename Equal>
std::vector<size_t> partners(const Part& a, const Part& b, size_t begin) {
  std::unordered_map<const Observation*, size_t, Hash, Equal> next;
  std::vector<size_t> after(a.size(), kNone);  // the next one of the same place
  for (size_t i = a.size(); i-- > begin;) {
    const auto [at, is_last] = next.try_emplace(&a[i], i);
    if (is_last) continue;
    after[i] = at->second;
    at->second = i;
  }
  std::vector<size_t> found(b.size(), kNone);
  for (size_t i = begin; i < b.size(); ++i) {
    const auto at = next.find(&b[i]);
    if (at == next.end() || at->second == kNone) continue;
    found[i] = at->second;
    at->second = after[at->second];
  }
  return found;
}

// What is at one place, from where two parts of recordings no longer agree.
struct Count {
  size_t in_a = 0;
  size_t in_b = 0;
  size_t of_one_site = 0;
};

// Operators are paired by order, but where their numbers give each that one side has a partner, by
// these: a compiled program has fewer values than an eager one, and counts those that it has not.
std::vector<size_t> partners_from(const Part& a, const Part& b, size_t begin) {
  std::vector<size_t> found = partners<PlaceHash, PlaceEqual>(a, b, begin);
  const std::vector<size_t> by_site = partners<SiteHash, SiteEqual>(a, b, begin);
  std::unordered_map<const Observation*, Count, PlaceHash, PlaceEqual> counts;
  for (size_t i = begin; i < a.size(); ++i) ++counts[&a[i]].in_a;
  for (size_t i = begin; i < b.size(); ++i) {
    Count& count = counts[&b[i]];
    ++count.in_b;
    if (by_site[i] != kNone) ++count.of_one_site;
  }
  for (size_t i = begin; i < b.size(); ++i) {
    const Count& count = counts.at(&b[i]);
    if (count.of_one_site == std::min(count.in_a, count.in_b)) found[i] = by_site[i];
  }
  return found;
}

void align_parts(const Part& a, const Part& b, std::vector<AlignedPair>& pairs) {
  size_t same = 0;  // two runs of one program part late, if at all
  while (same < std::min(a.size(), b.size()) && is_same_site(a[same], b[same])) {
    pairs.emplace_back(a.begin + same, b.begin + same);
    ++same;
  }
  if (same == a.size() && same == b.size()) return;

  const std::vector<size_t> of_b = partners_from(a, b, same);
  std::vector<size_t> of_a(a.size(), kNone);
  // What only `b` has, by the observation of `a` that it follows; kNone: at the very start.
  std::unordered_map<size_t, std::vector<size_t>> extras;
  size_t follows = same == 0 ? kNone : same - 1;
  for (size_t i = same; i < b.size(); ++i) {
    if (of_b[i] == kNone) {
      extras[follows].push_back(i);
    } else {
      follows = of_b[i];
      of_a[follows] = i;
    }
  }
  const auto add_extras = [&](size_t after) {
    const auto found = extras.find(after);
    if (found == extras.end()) return;
    for (const size_t i : found->second) pairs.emplace_back(std::nullopt, b.begin + i);
  };
  add_extras(same == 0 ? kNone : same - 1);
  for (size_t i = same; i < a.size(); ++i) {
    pairs.emplace_back(a.begin + i,
                       of_a[i] == kNone ? std::nullopt : std::optional<size_t>(b.begin + of_a[i]));
    add_extras(i);
  }
}

bool has_ascending_steps(const std::vector<Observation>& observations) {
  return std::is_sorted(observations.begin(), observations.end(),
                        [](const Observation& a, const Observation& b) { return a.step < b.step; });
}

// Of ascending steps, from `begin` on: where `step` ends.
size_t end_of_step(const std::vector<Observation>& observations, size_t begin, int64_t step) {
  while (begin < observations.size() && observations[begin].step == step) ++begin;
  return begin;
}

}  // namespace

// Nothing is paired across steps, so that one which has more than the other costs no more than
// itself.
void for_each_aligned(const std::vector<Observation>& a, const std::vector<Observation>& b,
                      const std::function<void(const AlignedPair&)>& found) {
  std::vector<AlignedPair> pairs;
  const auto give = [&](const Part& of_a, const Part& of_b) {
    pairs.clear();
    align_parts(of_a, of_b, pairs);
    for (const AlignedPair& pair : pairs) found(pair);
  };
  if (!has_ascending_steps(a) || !has_ascending_steps(b)) {
    give({a, 0, a.size()}, {b, 0, b.size()});
    return;
  }
  for (size_t i = 0, j = 0; i < a.size() || j < b.size();) {
    const bool is_of_a = j == b.size() || (i < a.size() && a[i].step <= b[j].step);
    const int64_t step = is_of_a ? a[i].step : b[j].step;
    const Part of_a{a, i, end_of_step(a, i, step)};
    const Part of_b{b, j, end_of_step(b, j, step)};
    give(of_a, of_b);
    i = of_a.end;
    j = of_b.end;
  }
}

std::vector<AlignedPair> align(const std::vector<Observation>& a,
                               const std::vector<Observation>& b) {
  std::vector<AlignedPair> pairs;
  pairs.reserve(std::max(a.size(), b.size()));
  for_each_aligned(a, b, [&](const AlignedPair& pair) { pairs.push_back(pair); });
  return pairs;
}

}  // namespace samebits
