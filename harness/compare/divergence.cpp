#include "harness/compare/divergence.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <tuple>

#include "harness/base/json.h"
#include "harness/bits/ulp.h"
#include "harness/compare/align.h"
#include "harness/compare/common_precision.h"
#include "harness/compare/site_map.h"
#include "harness/compare/tensor_difference.h"

namespace samebits {
namespace {

int64_t count_steps(const std::vector<Observation>& observations) {
  std::vector<int64_t> steps;
  for (const Observation& each : observations) {
    if (steps.empty() || steps.back() != each.step) steps.push_back(each.step);
  }
  std::sort(steps.begin(), steps.end());
  return std::unique(steps.begin(), steps.end()) - steps.begin();
}

// "" where not both were kept, or where they have no elements in common.
std::string elements_text(const Observation& a, const Observation& b) {
  const TensorView* const kept_a = a.kept.tensor;
  const TensorView* const kept_b = b.kept.tensor;
  if (kept_a == nullptr || kept_b == nullptr) return "";
  if (kept_a->dtype != kept_b->dtype || kept_a->shape != kept_b->shape) return "";
  return difference_of(*kept_a, *kept_b).brief();
}

Divergence divergence_at(const Observation* a, const Observation* b, int64_t occurrence) {
  const Observation& seen = a != nullptr ? *a : *b;
  Divergence divergence;
  divergence.step = seen.step;
  divergence.phase = seen.phase;
  divergence.rank = seen.rank;
  divergence.site = seen.site;
  divergence.occurrence = occurrence;
  if (a != nullptr) divergence.a = *a;
  if (b != nullptr) divergence.b = *b;
  if (a != nullptr && b != nullptr) {
    divergence.distance = scalar_ulp(*a, *b);
    divergence.elements = elements_text(*a, *b);
  }
  return divergence;
}

// Of a pair that is aligned, or of what one of them has alone.
Divergence divergence_of(const std::vector<Observation>& a, const std::vector<Observation>& b,
                         const AlignedPair& pair) {
  const auto& [a_index, b_index] = pair;
  const int64_t occurrence = a_index ? occurrence_of(a, *a_index) : occurrence_of(b, *b_index);
  Divergence divergence =
      divergence_at(a_index ? &a[*a_index] : nullptr, b_index ? &b[*b_index] : nullptr, occurrence);
  if (b_index) divergence.occurrence_b = occurrence_of(b, *b_index);
  return divergence;
}

// What a relation says of one aligned pair.
Agreement judge_pair(const Relation& relation, const Observation& a, const Observation& b) {
  const Agreement agreement = judge(relation, a, b);
  const bool fails = agreement == Agreement::kUnknown && relation.tensors == TensorRule::kMustMatch;
  return fails ? Agreement::kFails : agreement;
}

void count_nonfinite(PairComparison& comparison, const Observation& a, const Observation& b) {
  if (is_operator_site(a.site)) return;
  // Of equal bits both have them, whatever a stream says of one.
  const bool in_both = a.digest == b.digest ? has_nonfinite(a) || has_nonfinite(b)
                                            : has_nonfinite(a) && has_nonfinite(b);
  if (!in_both) return;
  if (++comparison.nonfinite == 1) comparison.first_nonfinite = a;
}

void note_distance(PairComparison& comparison, const Observation& a, const Observation& b) {
  if (bit_exact(a, b) == Agreement::kHolds) return;
  if (!comparison.first_different_step || a.step < *comparison.first_different_step) {
    comparison.first_different_step = a.step;
  }
  const auto distance = scalar_ulp(a, b);
  if (!distance) return;
  if (a.site == "loss") comparison.max_loss_ulp = std::max(comparison.max_loss_ulp, *distance);
  if (site_kind(a.site) == "logprob") {
    comparison.max_logprob_ulp = std::max(comparison.max_logprob_ulp, *distance);
  }
}

// A comparison and where in the stream its first divergence lies.
struct Placed {
  PairComparison comparison;
  size_t position = 0;
  size_t value_position = 0;  // the same of the first whose values differ
};

// Whether both must have seen their sites in one order.
enum class Order { kCompared, kFree };

Placed compare_placed(const std::vector<Observation>& a, const std::vector<Observation>& b,
                      const Relation& relation, Order order) {
  Placed placed;
  PairComparison& comparison = placed.comparison;
  comparison.steps_a = count_steps(a);
  comparison.steps_b = count_steps(b);
  size_t position = 0;
  size_t next_b = 0;  // what follows in `b`, were it in the order of `a`
  for_each_aligned(a, b, [&](const AlignedPair& pair) {
    const std::optional<size_t>& a_index = pair.first;
    const std::optional<size_t>& b_index = pair.second;
    const Observation* a_seen = a_index ? &a[*a_index] : nullptr;
    const Observation* b_seen = b_index ? &b[*b_index] : nullptr;
    bool is_divergence = true;
    bool is_out_of_order = false;
    if (a_seen == nullptr) {
      ++comparison.only_b;
    } else if (b_seen == nullptr) {
      ++comparison.only_a;
    } else {
      const Agreement agreement = judge_pair(relation, *a_seen, *b_seen);
      ++(agreement == Agreement::kUnknown ? comparison.unknown : comparison.compared);
      is_out_of_order = order == Order::kCompared && *b_index < next_b;
      is_divergence = agreement == Agreement::kFails || is_out_of_order;
      if (agreement == Agreement::kFails) ++comparison.different_at[a_seen->site];
      if (agreement == Agreement::kFails && ++comparison.different == 1) {
        comparison.first_value = divergence_of(a, b, pair);
        placed.value_position = position;
      }
      count_nonfinite(comparison, *a_seen, *b_seen);
      note_distance(comparison, *a_seen, *b_seen);
    }
    if (b_index) next_b = *b_index + 1;
    if (is_divergence && !comparison.first) {
      comparison.first = divergence_of(a, b, pair);
      comparison.first->is_out_of_order = is_out_of_order;
      placed.position = position;
    }
    ++position;
  });
  return placed;
}

using Place = std::tuple<int64_t, size_t, size_t>;  // step, position in the stream, rank

void take_earlier(std::optional<Divergence>& first, Place& first_place,
                  const std::optional<Divergence>& found, size_t position, size_t rank) {
  if (!found) return;
  const Place place(found->step, position, rank);
  if (first && first_place <= place) return;
  first = found;
  first_place = place;
}

std::string value_text(const Observation& observation) {
  return observation.bits ? scalar_text(observation)
                          : "digest " + observation.digest.hex().substr(0, 8);
}

// float64 that holds a value of float32, as most logs have it, is measured as that.
std::string distance_text(const Observation& a, const Observation& b, uint64_t distance) {
  const double x = scalar_value(a);
  const double y = scalar_value(b);
  if (std::isnan(x) && std::isnan(y)) return "two NaNs of other bits";
  if (a.dtype != Dtype::float64 || !std::isfinite(x) || !std::isfinite(y)) {
    return ulp_text(distance);
  }
  const auto narrow_x = static_cast<float>(x);
  const auto narrow_y = static_cast<float>(y);
  if (narrow_x == x && narrow_y == y) {
    const uint64_t narrow = ulp_distance(Dtype::float32, std::bit_cast<uint32_t>(narrow_x),
                                         std::bit_cast<uint32_t>(narrow_y));
    return ulp_text(narrow) + " of float32";
  }
  return ulp_text(distance) + ", apart by " + shortest_text(std::abs(x - y));
}

// Of recordings that have one name for a site.
PairComparison compare_named(const ArmRecording& a, const ArmRecording& b, const Relation& relation,
                             Order order) {
  if (is_coarsened_by(a, b) || is_coarsened_by(b, a)) {
    ArmRecording common_a = coarsened(a, *b.log);
    ArmRecording common_b = coarsened(b, *a.log);
    // Which precision that is, is said of the logs themselves.
    common_a.log.reset();
    common_b.log.reset();
    PairComparison comparison = compare_named(common_a, common_b, relation, order);
    comparison.precision = precision_text(a, b);
    return comparison;
  }
  PairComparison all;
  all.precision = precision_text(a, b);
  Place first_place;
  Place value_place;
  for (size_t rank = 0; rank < std::min(a.ranks.size(), b.ranks.size()); ++rank) {
    const Placed placed =
        compare_placed(a.ranks[rank].observations, b.ranks[rank].observations, relation, order);
    const PairComparison& one = placed.comparison;
    all.compared += one.compared;
    all.different += one.different;
    all.unknown += one.unknown;
    for (const auto& [site, count] : one.different_at) all.different_at[site] += count;
    all.nonfinite += one.nonfinite;
    if (one.first_nonfinite &&
        (!all.first_nonfinite || one.first_nonfinite->step < all.first_nonfinite->step)) {
      all.first_nonfinite = one.first_nonfinite;
    }
    all.only_a += one.only_a;
    all.only_b += one.only_b;
    all.steps_a = std::max(all.steps_a, one.steps_a);
    all.steps_b = std::max(all.steps_b, one.steps_b);
    all.max_loss_ulp = std::max(all.max_loss_ulp, one.max_loss_ulp);
    all.max_logprob_ulp = std::max(all.max_logprob_ulp, one.max_logprob_ulp);
    if (one.first_different_step &&
        (!all.first_different_step || *one.first_different_step < *all.first_different_step)) {
      all.first_different_step = one.first_different_step;
    }
    take_earlier(all.first, first_place, one.first, placed.position, rank);
    take_earlier(all.first_value, value_place, one.first_value, placed.value_position, rank);
  }
  return all;
}

}  // namespace

bool is_operator_site(const std::string& site) { return site.find('#') != std::string::npos; }

ArmRecording without_operators(ArmRecording recording) {
  for (StreamContents& rank : recording.ranks) {
    std::erase_if(rank.observations,
                  [](const Observation& each) { return is_operator_site(each.site); });
  }
  return recording;
}

std::string form_text(Dtype dtype, const std::vector<int64_t>& shape) {
  std::string text(dtype_name(dtype));
  text += " [";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

std::string site_kind(const std::string& site) { return site.substr(0, site.find('[')); }

std::string Divergence::text() const { return place() + ": " + values(); }

std::string Divergence::place() const {
  std::string text = "step " + std::to_string(step) + ", " + phase;
  if (rank != 0) text += ", rank " + std::to_string(rank);
  text += ", " + site;
  if (occurrence != 0) text += " (occurrence " + std::to_string(occurrence) + ")";
  return text;
}

std::string Divergence::values() const {
  if (!b) return "seen by the first only";
  if (!a) return "seen by the second only";
  if (is_out_of_order) return "seen by the second in another order";
  if (a->dtype != b->dtype || a->shape != b->shape) {
    return form_text(a->dtype, a->shape) + " against " + form_text(b->dtype, b->shape);
  }
  std::string text;
  if (!a->bits) text += form_text(a->dtype, a->shape) + ", ";
  text += value_text(*a) + " against " + value_text(*b);
  if (distance) text += ", " + distance_text(*a, *b, *distance);
  if (!elements.empty()) text += ", " + elements;
  return text;
}

PairComparison compare_streams(const std::vector<Observation>& a, const std::vector<Observation>& b,
                               const Relation& relation) {
  return compare_placed(a, b, relation, Order::kCompared).comparison;
}

PairComparison compare_recordings(const ArmRecording& a, const ArmRecording& b,
                                  const Relation& relation) {
  if (relation.map.empty()) return compare_named(a, b, relation, Order::kCompared);
  const SiteMap map(relation.map);
  // What is one call of a fused module is one of each part elsewhere.
  const Order order = relation.map.layouts.empty() ? Order::kCompared : Order::kFree;
  PairComparison comparison =
      compare_named(map.laid_out(a), map.renamed(map.laid_out(b)), relation, order);
  for (std::optional<Divergence>* first : {&comparison.first, &comparison.first_value}) {
    if (*first && (*first)->b) (*first)->b->site = map.own_name(b, *(*first)->b);
  }
  return comparison;
}

}  // namespace samebits
