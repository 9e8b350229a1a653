#include "harness/run/draw_faults.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "harness/base/error.h"
#include "harness/bits/philox.h"

namespace samebits {
namespace {

class Dice {
 public:
  explicit Dice(uint64_t seed)
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)} {}

  // From 0 to below `count`, which is at least 1.
  uint64_t below(uint64_t count) {
    const auto words = philox4x32_10({next_++, 0, 0, 0}, key_);
    return ((uint64_t{words[0]} << 32) | words[1]) % count;
  }

 private:
  std::array<uint32_t, 2> key_;
  uint32_t next_ = 0;
};

// An executed, and one of its results, with which a kind of fault can do something.
struct Place {
  size_t executed;
  size_t output;
};

// By step, phase and operator.
using Strata = std::map<std::tuple<int64_t, std::string, std::string>, std::vector<Place>>;

// The executed of the same operator that came right before in its phase, of the same rank; and the
// next one, where it is the next rank's: the same call over the mesh.
class Neighbours {
 public:
  explicit Neighbours(const std::vector<Executed>& executions) : executions_(executions) {
    std::map<std::tuple<int64_t, std::string, std::string>, size_t> last;
    next_.resize(executions.size(), executions.size());
    for (size_t i = 0; i < executions.size(); ++i) {
      const Executed& each = executions[i];
      at_[{each.step, each.phase, each.op, each.call, each.rank}] = i;
      const auto [before, is_first] = last.try_emplace({each.step, each.phase, each.op}, i);
      if (is_first) continue;
      next_[before->second] = i;
      before->second = i;
    }
  }
  const Executed* before(const Executed& executed) const {
    const auto found =
        at_.find({executed.step, executed.phase, executed.op, executed.call - 1, executed.rank});
    return found == at_.end() ? nullptr : &executions_[found->second];
  }
  const Executed* of_next_rank(const Executed& executed) const {
    const size_t next = next_[static_cast<size_t>(&executed - executions_.data())];
    const bool is_its = next < executions_.size() && executions_[next].rank == executed.rank + 1;
    return is_its ? &executions_[next] : nullptr;
  }

 private:
  const std::vector<Executed>& executions_;
  std::map<std::tuple<int64_t, std::string, std::string, int64_t, int64_t>, size_t> at_;
  std::vector<size_t> next_;  // of the same operator; the end where there is none
};

bool has_same_result(const Executed& a, const Executed* b, size_t output) {
  return b != nullptr && output < b->results.size() &&
         a.results[output].elements == b->results[output].elements &&
         a.results[output].element_bits == b->results[output].element_bits;
}

bool can_plant(FaultKind kind, const Executed& executed, size_t output,
               const Neighbours& neighbours) {
  if (executed.is_guard) return kind == FaultKind::kGuard;
  const Executed::Result& result = executed.results[output];
  if (result.elements == 0) return false;
  switch (kind) {
    case FaultKind::kNone:
    case FaultKind::kGuard:
      return false;
    case FaultKind::kFlip:
      return result.is_float;
    case FaultKind::kStale:
      return !result.is_argument && has_same_result(executed, neighbours.before(executed), output);
    case FaultKind::kSkip:
      return result.is_argument && executed.op != "aten::add";
    case FaultKind::kOrder:
      return executed.op == "samebits::linear" || executed.op == "samebits::linear_dgrad" ||
             executed.op == "samebits::linear_wgrad_";
    case FaultKind::kMask:
      return executed.op == "samebits::flash_attention" && output == 0;
    case FaultKind::kSwap:
      return has_same_result(executed, neighbours.of_next_rank(executed), output);
  }
  return false;
}

Strata strata_of(const std::vector<Executed>& executions, FaultKind kind,
                 const Neighbours& neighbours) {
  Strata strata;
  for (size_t i = 0; i < executions.size(); ++i) {
    const Executed& each = executions[i];
    if (each.step < 0) continue;  // while the arm was built
    const size_t outputs = each.is_guard ? 1 : each.results.size();
    for (size_t output = 0; output < outputs; ++output) {
      if (!can_plant(kind, each, output, neighbours)) continue;
      strata[{each.step, each.phase, each.op}].push_back({i, output});
    }
  }
  return strata;
}

struct Drawable {
  const ArmExecutions& arm;
  std::vector<std::pair<FaultKind, Strata>> kinds;  // flips first
};

Drawable drawable_of(const ArmExecutions& arm, std::optional<FaultKind> only) {
  Drawable drawable{arm, {}};
  const Neighbours neighbours(arm.executions);
  for (const auto& [name, kind] : names_of(FaultKind())) {
    if (kind == FaultKind::kSwap && arm.has_processes) continue;
    if (only && kind != *only) continue;
    Strata strata = strata_of(arm.executions, kind, neighbours);
    if (!strata.empty()) drawable.kinds.emplace_back(kind, std::move(strata));
  }
  return drawable;
}

Fault draw(const Drawable& drawable, Dice& dice) {
  const bool is_flip = drawable.kinds.size() == 1 || dice.below(2) == 0;
  const size_t chosen = is_flip ? 0 : 1 + dice.below(drawable.kinds.size() - 1);
  const auto& [kind, strata] = drawable.kinds[chosen];
  const auto stratum = std::next(strata.begin(), static_cast<int64_t>(dice.below(strata.size())));
  const Place& place = stratum->second[dice.below(stratum->second.size())];
  const Executed& executed = drawable.arm.executions[place.executed];
  Fault fault;
  fault.kind = kind;
  fault.op = executed.op;
  fault.step = executed.step;
  fault.phase = executed.phase;
  fault.call = executed.call;
  fault.rank = executed.rank;
  fault.output = static_cast<int64_t>(place.output);
  if (kind == FaultKind::kFlip) {
    const Executed::Result& result = executed.results[place.output];
    fault.element = static_cast<int64_t>(dice.below(static_cast<uint64_t>(result.elements)));
    const bool is_one_ulp = dice.below(2) == 0;
    if (!is_one_ulp) {
      fault.bit = static_cast<int64_t>(dice.below(static_cast<uint64_t>(result.element_bits)));
    }
  }
  return fault;
}

}  // namespace

std::vector<std::pair<std::string, Fault>> draw_faults(const std::vector<ArmExecutions>& arms,
                                                       int64_t count, uint64_t seed,
                                                       std::optional<FaultKind> only) {
  std::vector<Drawable> drawables;
  for (const ArmExecutions& arm : arms) {
    Drawable drawable = drawable_of(arm, only);
    if (!drawable.kinds.empty()) drawables.push_back(std::move(drawable));
  }
  std::vector<std::pair<std::string, Fault>> faults;
  if (drawables.empty()) return faults;
  Dice dice(seed);
  for (int64_t i = 0; i < count; ++i) {
    const Drawable& drawable = drawables[static_cast<size_t>(i) % drawables.size()];
    faults.emplace_back(drawable.arm.arm, draw(drawable, dice));
  }
  return faults;
}

}  // namespace samebits
