#include "harness/report/gap.h"

#include <algorithm>
#include <map>
#include <utility>

#include "harness/compare/divergence.h"
#include "harness/compare/relation.h"

namespace samebits {

std::optional<LogprobGap> logprob_gap(const std::vector<Observation>& observations) {
  std::map<std::pair<int64_t, std::string>, const Observation*> reported;
  LogprobGap gap;
  for (const Observation& each : observations) {
    if (site_kind(each.site) != "logprob") continue;
    if (each.phase == "rollout") reported[{each.step, each.site}] = &each;
    const auto found = reported.find({each.step, each.site});
    if (each.phase != "train" || found == reported.end()) continue;
    ++gap.tokens;
    if (each.digest == found->second->digest) continue;
    ++gap.different;
    gap.max_ulp = std::max(gap.max_ulp, scalar_ulp(*found->second, each).value_or(0));
  }
  return gap.tokens == 0 ? std::nullopt : std::optional(gap);
}

}  // namespace samebits
