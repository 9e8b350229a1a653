#include "harness/compare/sync_check.h"

#include <map>
#include <optional>

namespace samebits {
namespace {

// The digests of one step by the weight's name.
using WeightDigests = std::map<std::string, Digest>;

struct Sides {
  std::vector<std::string> names;  // in the order in which they were seen
  WeightDigests trainer;           // after the optimizer, before the sync
  WeightDigests trainer_after;
  WeightDigests generator_before;
  WeightDigests generator_after;
};

// The name in "generator.after[NAME]"; nullopt for another site.
std::optional<std::string> indexed_name(const std::string& site, const std::string& kind) {
  if (!site.starts_with(kind + "[") || !site.ends_with(']')) return std::nullopt;
  return site.substr(kind.size() + 1, site.size() - kind.size() - 2);
}

void add(Sides& sides, WeightDigests& into, const std::string& name, const Digest& digest) {
  const bool is_known = sides.trainer.contains(name) || sides.generator_before.contains(name) ||
                        sides.generator_after.contains(name) || sides.trainer_after.contains(name);
  if (!is_known) sides.names.push_back(name);
  into[name] = digest;
}

std::map<int64_t, Sides> sides_by_step(const std::vector<Observation>& observations) {
  std::map<int64_t, Sides> steps;
  for (const Observation& each : observations) {
    if (each.phase != "weights") continue;
    Sides& sides = steps[each.step];
    if (const auto before = indexed_name(each.site, "generator.before")) {
      add(sides, sides.generator_before, *before, each.digest);
    } else if (const auto after = indexed_name(each.site, "generator.after")) {
      add(sides, sides.generator_after, *after, each.digest);
    } else if (const auto trainer = indexed_name(each.site, "trainer.after")) {
      add(sides, sides.trainer_after, *trainer, each.digest);
    } else {
      add(sides, sides.trainer, each.site, each.digest);
    }
  }
  return steps;
}

const Digest* find(const WeightDigests& digests, const std::string& name) {
  const auto found = digests.find(name);
  return found == digests.end() ? nullptr : &found->second;
}

// What is wrong with a weight after a sync; "" for nothing. `earlier`: the steps before, the last
// one first.
std::string fault_of(const std::string& name, const Sides& sides,
                     const std::vector<std::pair<int64_t, const Sides*>>& earlier) {
  const Digest* sent = find(sides.trainer, name);
  const Digest* kept = find(sides.trainer_after, name);
  const Digest* before = find(sides.generator_before, name);
  const Digest* after = find(sides.generator_after, name);
  if (sent == nullptr) return "which the trainer does not have";
  if (after == nullptr) return "which the generator does not have";
  if (kept == nullptr || *kept != *sent) return "which the sync changed in the trainer";
  if (*after == *sent) return "";
  if (before != nullptr && *after == *before) return "which stayed what it was in the generator";
  for (const auto& [step, older] : earlier) {
    const Digest* stale = find(older->trainer, name);
    if (stale != nullptr && *stale == *after) {
      return "which arrived as it was at step " + std::to_string(step);
    }
  }
  return "which arrived changed";
}

}  // namespace

std::string SyncCheck::text() const {
  std::string text = "step " + std::to_string(step) + ": " + std::to_string(arrived) + " of " +
                     std::to_string(weights) + " weights arrived";
  return first.empty() ? text : text + ", first " + first;
}

std::string summary_text(const std::vector<SyncCheck>& syncs) {
  if (syncs.empty()) return "";
  for (const SyncCheck& sync : syncs) {
    if (!sync.is_whole()) return sync.text();
  }
  const std::string steps =
      syncs.size() == 1 ? "the one step" : "each of " + std::to_string(syncs.size()) + " steps";
  return "all " + std::to_string(syncs.front().weights) + " arrived in " + steps;
}

std::vector<SyncCheck> sync_checks(const std::vector<Observation>& observations) {
  const std::map<int64_t, Sides> steps = sides_by_step(observations);
  std::vector<SyncCheck> syncs;
  std::vector<std::pair<int64_t, const Sides*>> earlier;
  for (const auto& [step, sides] : steps) {
    SyncCheck sync;
    sync.step = step;
    for (const std::string& name : sides.names) {
      ++sync.weights;
      const std::string fault = fault_of(name, sides, earlier);
      if (fault.empty()) {
        ++sync.arrived;
      } else if (sync.first.empty()) {
        sync.first = name + ", " + fault;
      }
    }
    syncs.push_back(std::move(sync));
    earlier.insert(earlier.begin(), {step, &sides});
  }
  return syncs;
}

}  // namespace samebits
