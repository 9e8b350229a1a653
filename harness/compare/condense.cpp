#include "harness/compare/condense.h"

#include <cmath>
#include <map>
#include <set>

#include "harness/compare/divergence.h"

namespace samebits {
namespace {

const std::vector<int64_t> kEmpty = {0};  // the shape of a completion without a token

}  // namespace

Digest digest_of_digests(const std::vector<Digest>& digests) {
  std::string text;
  for (const Digest& each : digests) text += each.hex();
  const int64_t shape[] = {static_cast<int64_t>(digests.size()), 32};
  return digest_of(Dtype::uint8, shape, text.data());
}

std::vector<Observation> condense(const ArmRecording& recording) {
  std::vector<Observation> condensed;
  if (recording.ranks.empty()) return condensed;
  std::vector<Digest> run;  // what the last of `condensed` folds, where that is a fold
  const auto seal = [&] {
    if (!run.empty()) condensed.back().digest = digest_of_digests(run);
    run.clear();
  };
  for (const Observation& each : recording.ranks.front().observations) {
    if (is_operator_site(each.site)) continue;
    const std::string kind = site_kind(each.site);
    const bool is_indexed = kind != each.site;
    const bool goes_on = !run.empty() && is_indexed && condensed.back().site == kind + "[*]" &&
                         condensed.back().step == each.step && condensed.back().phase == each.phase;
    if (!goes_on) {
      seal();
      condensed.push_back(each);
      if (!is_indexed) continue;
      condensed.back() = {};
      condensed.back().step = each.step;
      condensed.back().phase = each.phase;
      condensed.back().site = kind + "[*]";
      condensed.back().dtype = Dtype::uint8;
    }
    run.push_back(each.digest);
    condensed.back().shape = {static_cast<int64_t>(run.size()), 32};
  }
  seal();
  return condensed;
}

std::string degeneracy(const std::vector<Observation>& observations) {
  if (observations.empty()) return "no observation at all";
  std::set<std::string> losses;
  int64_t loss_count = 0;
  std::map<int64_t, bool> has_text;  // of a step that has completions: is one not empty?
  for (const Observation& each : observations) {
    const std::string place = " at step " + std::to_string(each.step) + ", " + each.phase;
    if (each.bits && !std::isfinite(scalar_value(each))) {
      return each.site + " is " + scalar_text(each) + place;
    }
    if (each.site == "grad_norm" && scalar_value(each) == 0) return "a gradient norm of 0" + place;
    if (each.site == "loss") {
      ++loss_count;
      losses.insert(scalar_text(each));
    }
    if (site_kind(each.site) == "completion") has_text[each.step] |= each.shape != kEmpty;
  }
  for (const auto& [step, has] : has_text) {
    if (!has) return "only empty completions at step " + std::to_string(step);
  }
  if (loss_count > 1 && losses.size() == 1) {
    return "the same loss, " + *losses.begin() + ", at all " + std::to_string(loss_count) +
           " steps";
  }
  return "";
}

}  // namespace samebits
