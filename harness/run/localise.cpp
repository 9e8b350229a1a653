#include "harness/run/localise.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>

#include "harness/base/stopwatch.h"
#include "harness/bits/digest.h"
#include "harness/compare/evidence.h"
#include "harness/compare/sources.h"
#include "harness/compare/tensor_difference.h"
#include "harness/observe/run_files.h"
#include "harness/observe/run_folder.h"
#include "harness/run/cause.h"
#include "harness/run/keep_of_program.h"
#include "harness/run/keep_tensor.h"
#include "harness/run/run_arm.h"
#include "harness/run/tensor_view.h"
#include "harness/run/token_difference.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

ArmRecording first_steps(ArmRecording recording, int64_t steps) {
  for (StreamContents& rank : recording.ranks) {
    std::erase_if(rank.observations, [&](const Observation& each) { return each.step >= steps; });
  }
  return recording;
}

// Runs some arms of a case again at level `op`, for `steps` steps, in their own folder.
std::vector<ArmRecording> run_again(const Case& c, const std::vector<std::string>& arms,
                                    int64_t steps, Json origin, const fs::path& where,
                                    Progress& progress, RankPool* launched) {
  Case few = select_arms(c, arms);
  for (CaseArm& arm : few.arms) arm.steps = std::min(arm.steps, steps);
  origin["level"] = "op";
  RunFolder folder = RunFolder::replace(where, few, origin);
  std::vector<ArmRecording> recordings;
  for (const CaseArm& arm : few.arms) {
    run_arm(arm, Level::kOp, *folder.start_arm(arm.name, arm.mesh.processes()), progress, launched);
    recordings.push_back(read_whole_arm(where / arm.name));
  }
  return recordings;
}

// How an arm's second run differs from its first, at level `step`; "" where it does not.
std::string parts_from_itself(const ArmRecording& before, const ArmRecording& again,
                              int64_t steps) {
  const PairComparison comparison =
      compare_recordings(first_steps(without_operators(before), steps),
                         first_steps(without_operators(again), steps), Relation());
  if (!comparison.differs()) return "";
  const std::string where = comparison.first ? comparison.first->text() : "nothing in common";
  return "another run of it differs at " + where;
}

using Facts = std::vector<std::pair<std::string, std::string>>;

// What an arm observed at a place and how it came to be; not known where that cannot be had, or
// gives another digest than what was observed.
Kept kept_at(const CaseArm& arm, const ObservationPlace& place, const Observation& seen) {
  Kept kept = keep_tensor(arm, place);
  if (!kept.computation.is_known()) return {};
  const TensorView value = view_of(arm.name, kept.computation.value());
  const bool is_what_was_seen =
      digest_of(value.dtype, value.shape, value.data.data()) == seen.digest;
  return is_what_was_seen ? std::move(kept) : Kept();
}

// The bytes of such a value; empty where they cannot be had. Another program is asked for them by
// another run of it, which writes into `folder`.
std::vector<std::byte> bytes_at(const CaseArm& arm, const Observation& seen, int64_t occurrence,
                                const fs::path& folder) {
  const ObservationPlace place{seen.step, seen.phase, seen.site, occurrence};
  if (!arm.is_program()) {
    const Kept kept = kept_at(arm, place, seen);
    if (!kept.computation.is_known()) return {};
    const TensorView value = view_of(arm.name, kept.computation.value());
    return {value.data.begin(), value.data.end()};
  }
  std::vector<std::byte> bytes = keep_of_program(arm, place, seen.rank, folder / arm.name);
  const int64_t count =
      std::accumulate(seen.shape.begin(), seen.shape.end(), int64_t{1}, std::multiplies<>());
  const bool is_whole = bytes.size() == static_cast<size_t>(count) * dtype_size(seen.dtype);
  if (!is_whole || digest_of(seen.dtype, seen.shape, bytes.data()) != seen.digest) return {};
  return bytes;
}

// What keys random numbers is made by no operator: it says itself what it is.
std::string draw_text(const at::Tensor& a, const at::Tensor& b) {
  const auto text = [](const at::Tensor& draw) {
    const int64_t* key = draw.const_data_ptr<int64_t>();
    return fmt::format("[{}, {}]", key[0], key[1]);
  };
  return "what keys the random numbers: seed and number " + text(a) + " against " + text(b);
}

// In how many runs of both arms they gave these two values: of five where one takes little time.
std::string repeats_text(const CaseArm& a, const CaseArm& b, const ObservationPlace& place,
                         const Divergence& first, Progress& progress) {
  constexpr int kRuns = 5;
  constexpr double kSeconds = 10;  // that repeats may take
  int runs = 2;                    // that named it, and that kept it
  int times = 2;
  const Stopwatch clock;
  for (; runs < kRuns && clock.seconds() < kSeconds; ++runs) {
    progress.show(fmt::format("{} and {}: run {} of {}", a.name, b.name, runs + 1, kRuns));
    const auto of_a = observe_again(a, place);
    const auto of_b = observe_again(b, place);
    if (of_a && of_b && of_a->digest == first.a->digest && of_b->digest == first.b->digest) ++times;
  }
  std::string text = times == runs ? fmt::format("always ({} of {} runs)", times, runs)
                                   : fmt::format("in {} of {} runs", times, runs);
  if (runs < kRuns) text += ", and no more were tried: they take long";
  return text;
}

// The NaN and infinities of a value: how many, and where they lie.
Facts nonfinite_facts(const at::Tensor& value) {
  const at::Tensor without =
      at::where(at::isfinite(value), value, at::zeros_like(value)).contiguous();
  const TensorDifference difference = difference_of(view_of("", value), view_of("", without));
  Facts facts = {{"elements", fmt::format("{} of {} are NaN or infinite", difference.different,
                                          difference.elements)}};
  for (const auto& fact : difference.facts()) {
    if (fact.first.starts_with("dim ")) facts.push_back(fact);
  }
  return facts;
}

// How two values differ of which one is another program's: nobody sees by which calls it came to be.
Facts explain_values(const CaseArm& a, const CaseArm& b, const Divergence& first,
                     const fs::path& folder) {
  const bool is_comparable =
      first.a->dtype == first.b->dtype && first.a->shape == first.b->shape && !first.a->bits;
  if (!is_comparable) return {};
  const std::vector<std::byte> of_a = bytes_at(a, *first.a, first.occurrence, folder);
  // An operator of another number is the first of its site there.
  const int64_t occurrence = first.a->site == first.b->site ? first.occurrence : 0;
  const std::vector<std::byte> of_b =
      of_a.empty() ? of_a : bytes_at(b, *first.b, occurrence, folder);
  if (of_b.empty()) {
    const CaseArm& silent = of_a.empty() ? a : b;
    const std::string why = silent.is_program() ? " does not keep that value (is it told {keep}?)"
                                                : " does not give that value outside of its "
                                                  "replays or ranks";
    return {{"elements", "not seen: " + silent.name + why}};
  }
  const std::vector<TensorView> views = {{"a", first.a->dtype, first.a->shape, of_a},
                                         {"b", first.b->dtype, first.b->shape, of_b}};
  write_safetensors((folder / run_files::kDifference).string(), views,
                    {{"a", a.name}, {"b", b.name}, {"place", first.place()}});
  return difference_of(views[0], views[1]).facts();
}

// Why two arms first differ where they do, and how: what came into the operator, and the elements
// of its two outputs, which are left beside the streams; and in which words that shows.
Facts explain(const CaseArm& a, const CaseArm& b, const Divergence& first,
              const std::vector<ArmRecording>& recordings, const fs::path& folder,
              Progress& progress) {
  if (!first.a || !first.b) return {};
  progress.show(fmt::format("{} and {}: keeping {}", a.name, b.name, first.site));
  if (a.is_program() || b.is_program()) return explain_values(a, b, first, folder);
  const ObservationPlace place{first.step, first.phase, first.site, first.occurrence};
  const Kept of_a = kept_at(a, place, *first.a);
  const Kept of_b = of_a.computation.is_known() ? kept_at(b, place, *first.b) : Kept();
  if (!of_b.computation.is_known()) {
    return {{"elements", "not seen: " + (of_a.computation.is_known() ? b : a).name +
                             " does not give that value outside of its replays or ranks"}};
  }
  const std::string again = repeats_text(a, b, place, first, progress);
  const at::Tensor& value_a = of_a.computation.value();
  const at::Tensor& value_b = of_b.computation.value();
  Facts facts;
  if (site_kind(first.site) == "draw") {
    facts.emplace_back("cause", draw_text(value_a, value_b));
  } else {
    facts = cause_of(of_a.computation, of_b.computation, a.name, b.name, first.step).facts;
  }
  facts.emplace_back("again", again);
  const std::vector<TensorView> views = {view_of("a", value_a), view_of("b", value_b)};
  write_safetensors((folder / run_files::kDifference).string(), views,
                    {{"a", a.name}, {"b", b.name}, {"place", first.place()}});
  const auto add = [&](const Facts& more) { facts.insert(facts.end(), more.begin(), more.end()); };
  const bool is_comparable = first.a->dtype == first.b->dtype && first.a->shape == first.b->shape;
  if (is_comparable && !first.a->bits) add(difference_of(views[0], views[1]).facts());
  add(first_token_difference(a, b, of_a, of_b, first.step, recording_of(recordings, a.name),
                             recording_of(recordings, b.name)));
  return facts;
}

Manifest::Closer look_at_pair(const Case& c, const std::vector<ArmRecording>& recordings,
                              const Verdict::Pair& pair, const Relation& relation,
                              const Json& origin, const fs::path& out, Progress& progress,
                              RankPool* launched) {
  Manifest::Closer closer{.a = pair.a, .b = pair.b};
  const int64_t steps = pair.comparison.first->step + 1;
  const std::vector<ArmRecording> again =
      run_again(c, {pair.a, pair.b}, steps, origin, out / run_files::closer_folder(pair.a, pair.b),
                progress, launched);
  for (const ArmRecording& each : again) {
    const std::string text = parts_from_itself(recording_of(recordings, each.arm), each, steps);
    if (!text.empty()) closer.unstable.emplace_back(each.arm, text);
  }
  const RulesOfPair rules = [&](const std::string& a, const std::string& b) {
    return PairRules{Nonfinite::kAccept, runs_same_operators(c.arm(a), c.arm(b))};
  };
  Relation two = relation;
  two.arms = {pair.a, pair.b};
  const PairComparison seen = judge_relation(two, again, rules).pairs.front().comparison;
  closer.text = seen.first ? seen.first->text() : "no difference when run again";
  if (!seen.first) return closer;
  if (seen.first_value) {
    closer.facts = explain(c.arm(pair.a), c.arm(pair.b), *seen.first_value, again,
                           out / run_files::closer_folder(pair.a, pair.b), progress);
  }
  const auto add_sources = [&](const Divergence& divergence) {
    const std::string sources = sources_of(recording_of(again, pair.a).folder,
                                           recording_of(again, pair.b).folder, divergence);
    if (!sources.empty()) closer.text += " (" + sources + ")";
  };
  add_sources(*seen.first);
  if (const Divergence* value = seen.later_value()) {
    closer.text += "; first value that differs: " + value->text();
    add_sources(*value);
  }
  return closer;
}

// The first operator whose output has a NaN or an infinity.
Manifest::Closer look_at_nonfinite(const Case& c, const ArmRecording& recording, int64_t steps,
                                   const Json& origin, const fs::path& out, Progress& progress,
                                   RankPool* launched) {
  Manifest::Closer closer{.a = recording.arm};
  const std::vector<ArmRecording> again =
      run_again(c, {recording.arm}, steps, origin,
                out / run_files::closer_folder(recording.arm, ""), progress, launched);
  closer.text =
      "no operator's output was seen to be NaN or infinite (those of replays are not "
      "looked at)";
  const std::vector<Observation>& seen = again.front().ranks.front().observations;
  const auto first = std::find_if(seen.begin(), seen.end(), [](const Observation& each) {
    return is_operator_site(each.site) && has_nonfinite(each);
  });
  if (first == seen.end()) return closer;
  closer.text = place_text(*first) + ": the first operator's output that has a NaN or an infinity";
  const int64_t occurrence = std::count_if(seen.begin(), first, [&](const Observation& each) {
    return each.step == first->step && each.phase == first->phase && each.site == first->site;
  });
  const Kept kept =
      kept_at(c.arm(recording.arm), {first->step, first->phase, first->site, occurrence}, *first);
  if (kept.computation.is_known()) {
    closer.facts = cause_of_nonfinite(kept.computation, first->step).facts;
    const Facts where = nonfinite_facts(kept.computation.value());
    closer.facts.insert(closer.facts.end(), where.begin(), where.end());
  }
  return closer;
}

int64_t step_of_first_nonfinite(const ArmRecording& recording) {
  for (const Observation& each : recording.ranks.front().observations) {
    if (has_nonfinite(each) && !is_operator_site(each.site)) return each.step;
  }
  return 0;
}

// Whether the arm can be asked for its operators: another program only where it is told the level.
bool shows_operators(const CaseArm& arm) {
  return !arm.is_program() || arm.program.is_told(ProgramSettings::kLevel);
}

}  // namespace

std::vector<Manifest::Closer> look_closer(const Case& c,
                                          const std::vector<ArmRecording>& recordings,
                                          const std::vector<Verdict>& verdicts, const Json& origin,
                                          const fs::path& out, Progress& progress,
                                          RankPool* launched) {
  std::vector<Manifest::Closer> found;
  std::set<std::pair<std::string, std::string>> looked_at;
  for (const Verdict& verdict : verdicts) {
    if (verdict.relation.holds == Holds::kMustDiverge) continue;
    for (const Verdict::Pair& pair : verdict.pairs) {
      const std::optional<Divergence>& first = pair.comparison.first;
      if (pair.holds || !first || is_operator_site(first->site)) continue;
      if (!shows_operators(c.arm(pair.a)) || !shows_operators(c.arm(pair.b))) continue;
      if (!looked_at.emplace(pair.a, pair.b).second) continue;
      found.push_back(
          look_at_pair(c, recordings, pair, verdict.relation, origin, out, progress, launched));
    }
  }
  for (const ArmRecording& recording : recordings) {
    const CaseArm& arm = c.arm(recording.arm);
    if (!shows_operators(arm) || evidence_of(arm, recording).nonfinite.empty()) continue;
    found.push_back(look_at_nonfinite(c, recording, step_of_first_nonfinite(recording) + 1, origin,
                                      out, progress, launched));
  }
  return found;
}

}  // namespace samebits
