#include "harness/run/explain.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <functional>
#include <numeric>

#include "harness/base/stopwatch.h"
#include "harness/bits/digest.h"
#include "harness/compare/sync_check.h"
#include "harness/compare/tensor_difference.h"
#include "harness/observe/run_files.h"
#include "harness/run/call_graph_of.h"
#include "harness/run/cause.h"
#include "harness/run/keep_of_program.h"
#include "harness/run/keep_tensor.h"
#include "harness/run/tensor_view.h"
#include "harness/run/token_difference.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

// What an arm observed at a place.
struct Look {
  Kept kept;                  // not known where it cannot be had
  bool is_of_replay = false;  // a replay left it, of whose operators nothing is seen
  Computation by_nodes = {};  // of a replay: what its graph gives when it runs node by node
  Computation again = {};     // of a replay that is not known: what another run of it gave

  bool is_known() const { return kept.computation.is_known(); }
};

size_t element_count(const std::vector<int64_t>& shape) {
  return static_cast<size_t>(
      std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>()));
}

// A map may have given the observation another shape of as many elements.
bool is_what_was_seen(const Computation& computation, const Observation& seen) {
  if (!computation.is_known()) return false;
  const TensorView value = view_of("", computation.value());
  return element_count(value.shape) == element_count(seen.shape) &&
         digest_of(value.dtype, seen.shape, value.data.data()) == seen.digest;
}

// What an arm, whose earlier run is in `folder`, observed at a place and how it came to be: nothing
// that gives another digest than what was observed.
Look look_at(const CaseArm& as_it_ran, const ObservationPlace& place, const Observation& seen,
             const fs::path& folder) {
  const CaseArm arm = in_this_process(as_it_ran);
  Kept by_nodes = keep_tensor(without_replays(arm), place, folder, seen.rank);
  if (is_what_was_seen(by_nodes.computation, seen)) return {std::move(by_nodes)};
  if (!is_replayed(arm)) return {};
  Look look{{}, true, std::move(by_nodes.computation)};
  Kept of_replay = keep_tensor(arm, place, folder, seen.rank);
  if (is_what_was_seen(of_replay.computation, seen)) {
    look.kept = std::move(of_replay);
  } else {
    look.again = std::move(of_replay.computation);
  }
  return look;
}

// Run node by node, and without padding, a replay's graph may have the same fault and give a third
// value: why that differs from what the other arm gives. nullopt where no call is named.
std::optional<Cause> cause_of_third_value(const Look& a, const Look& b, const Divergence& first,
                                          const std::string& arm_a, const std::string& arm_b) {
  const Look& replayed = a.is_of_replay ? a : b;
  const std::string& arm = a.is_of_replay ? arm_a : arm_b;
  const auto shown = [&](const Look& look) -> const Computation& {
    return look.is_of_replay ? look.by_nodes : look.kept.computation;
  };
  if (!replayed.is_of_replay || !shown(a).is_known() || !shown(b).is_known()) return std::nullopt;
  const auto name = [](const Look& look, const std::string& of_arm) {
    return look.is_of_replay ? of_arm + " node by node" : of_arm;
  };
  Cause cause = cause_of(shown(a), shown(b), name(a, arm_a), name(b, arm_b), first.step);
  const bool is_named =
      cause.kind == Cause::Kind::kOperator || cause.kind == Cause::Kind::kArguments;
  if (!is_named) return std::nullopt;
  std::string& text = cause.facts.front().second;
  text = fmt::format("the replay in {} gives another value than its graph node by node; there, {}",
                     arm, text);
  return cause;
}

// What of two looks at a place says why they differ; nullopt where not enough of it is seen.
std::optional<Cause> cause_of_looks(const Look& a, const Look& b, const Divergence& first,
                                    const std::string& arm_a, const std::string& arm_b) {
  std::optional<Cause> cause;
  if (a.is_known() && b.is_known()) {
    cause = cause_of(a.kept.computation, b.kept.computation, arm_a, arm_b, first.step);
    if (cause->kind == Cause::Kind::kOperator) return cause;
  }
  // Memory that nobody wrote holds something else in each run.
  if (auto copy = cause_of_false_copy(a.again, arm_a)) return copy;
  if (auto copy = cause_of_false_copy(b.again, arm_b)) return copy;
  if (a.is_of_replay && is_what_was_seen(a.by_nodes, *first.b)) {
    return cause_of_replay(a.by_nodes, arm_a, arm_b);
  }
  if (b.is_of_replay && is_what_was_seen(b.by_nodes, *first.a)) {
    return cause_of_replay(b.by_nodes, arm_b, arm_a);
  }
  if (cause && cause->kind != Cause::Kind::kUnknown) return cause;
  const std::optional<Cause> third = cause_of_third_value(a, b, first, arm_a, arm_b);
  return third ? third : cause;
}

// The bytes of such a value; empty where they cannot be had. Another program is asked for them by
// another run of it, which writes into `folder`.
std::vector<std::byte> bytes_at(const CaseArm& arm, const Observation& seen, int64_t occurrence,
                                const fs::path& folder) {
  const ObservationPlace place{seen.step, seen.phase, seen.site, occurrence};
  if (!arm.is_program()) {
    const Kept kept = look_at(arm, place, seen, folder / arm.name).kept;
    if (!kept.computation.is_known()) return {};
    const TensorView value = view_of(arm.name, kept.computation.value());
    return {value.data.begin(), value.data.end()};
  }
  std::vector<std::byte> bytes = keep_of_program(arm, place, seen.rank, folder / arm.name);
  const size_t count = element_count(seen.shape);
  const bool is_whole = bytes.size() == count * dtype_size(seen.dtype);
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

// A weight that one arm's sync did not bring over, or brought over changed, was made by no operator
// that the other has. "": the syncs of both were whole, or neither was.
std::string sync_text(const Divergence& first, const ArmRecording& a, const ArmRecording& b) {
  if (site_kind(first.site) != "generator.after") return "";
  std::vector<std::string> texts;
  for (const ArmRecording* arm : {&a, &b}) {
    for (const SyncCheck& sync : sync_checks(arm->ranks.front().observations)) {
      if (sync.step != first.step || sync.is_whole()) continue;
      texts.push_back(fmt::format("the weight sync of {}: {}", arm->arm, sync.text()));
    }
  }
  return texts.size() == 1 ? texts.front() : "";
}

// In how many runs of both arms they gave these two values: of five where one takes little time.
std::string repeats_text(const CaseArm& a, const CaseArm& b, const ObservationPlace& place,
                         const Divergence& first, const fs::path& folder, Progress& progress) {
  constexpr int kRuns = 5;
  constexpr double kSeconds = 10;  // that repeats may take
  int runs = 2;                    // that named it, and that kept it
  int times = 2;
  const Stopwatch clock;
  for (; runs < kRuns && clock.seconds() < kSeconds; ++runs) {
    progress.show(fmt::format("{} and {}: run {} of {}", a.name, b.name, runs + 1, kRuns));
    const auto of_a = observe_again(in_this_process(a), place, folder / a.name, first.a->rank);
    const auto of_b = observe_again(in_this_process(b), place, folder / b.name, first.b->rank);
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

// How two values differ of which one is another program's: nobody sees by which calls it came to
// be.
Facts explain_values(const CaseArm& a, const CaseArm& b, const Divergence& first,
                     const fs::path& folder) {
  const bool is_comparable =
      first.a->dtype == first.b->dtype && first.a->shape == first.b->shape && !first.a->bits;
  if (!is_comparable) return {};
  const std::vector<std::byte> of_a = bytes_at(a, *first.a, first.occurrence, folder);
  const std::vector<std::byte> of_b =
      of_a.empty() ? of_a : bytes_at(b, *first.b, first.occurrence_b, folder);
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

}  // namespace

Facts explain_difference(const CaseArm& a, const CaseArm& b, const Divergence& first,
                         const std::vector<ArmRecording>& recordings, const fs::path& folder,
                         Progress& progress) {
  if (!first.a || !first.b) return {};
  progress.show(fmt::format("{} and {}: keeping {}", a.name, b.name, first.site));
  if (a.is_program() || b.is_program()) return explain_values(a, b, first, folder);
  const ObservationPlace place{first.step, first.phase, first.site, first.occurrence};
  const Look look_a = look_at(a, place, *first.a, folder / a.name);
  const Look look_b = look_at(b, place, *first.b, folder / b.name);
  const auto cause_of_both = [&] { return cause_of_looks(look_a, look_b, first, a.name, b.name); };
  if (!look_a.is_known() || !look_b.is_known()) {
    const std::optional<Cause> cause = cause_of_both();
    Facts facts = cause ? cause->facts : Facts();
    facts.emplace_back("elements", "not seen: " + (look_a.is_known() ? b : a).name +
                                       " does not give that value outside of its replays or ranks");
    return facts;
  }
  const Kept& of_a = look_a.kept;
  const Kept& of_b = look_b.kept;
  const std::string again = repeats_text(a, b, place, first, folder, progress);
  const at::Tensor& value_a = of_a.computation.value();
  const at::Tensor& value_b = of_b.computation.value();
  Facts facts;
  if (site_kind(first.site) == "draw") {
    facts.emplace_back("cause", draw_text(value_a, value_b));
  } else if (const std::string sync = sync_text(first, recording_of(recordings, a.name),
                                                recording_of(recordings, b.name));
             !sync.empty()) {
    facts.emplace_back("cause", sync);
  } else {
    facts = cause_of_both()->facts;
  }
  facts.emplace_back("again", again);
  const std::vector<TensorView> views = {view_of("a", value_a), view_of("b", value_b)};
  write_safetensors((folder / run_files::kDifference).string(), views,
                    {{"a", a.name}, {"b", b.name}, {"place", first.place()}});
  const CallGraph calls =
      call_graph_of(of_a.computation, of_b.computation, a.name, b.name, first.place());
  if (!calls.nodes.empty()) write_call_graph(folder, calls);
  const auto add = [&](const Facts& more) { facts.insert(facts.end(), more.begin(), more.end()); };
  const bool is_comparable = first.a->dtype == first.b->dtype && first.a->shape == first.b->shape;
  if (is_comparable && !first.a->bits) add(difference_of(views[0], views[1]).facts());
  add(first_token_difference(a, b, of_a, of_b, first.step, recording_of(recordings, a.name),
                             recording_of(recordings, b.name)));
  return facts;
}

std::optional<Cause> cause_of_divergence(const CaseArm& a, const CaseArm& b,
                                         const Divergence& first) {
  if (!first.a || !first.b) return std::nullopt;
  const ObservationPlace place{first.step, first.phase, first.site, first.occurrence};
  return cause_of_looks(look_at(a, place, *first.a, {}), look_at(b, place, *first.b, {}), first,
                        a.name, b.name);
}

std::optional<Cause> cause_of_apart(const CaseArm& arm, const Observation& seen, int64_t occurrence,
                                    const fs::path& folder) {
  const Look look = look_at(arm, {seen.step, seen.phase, seen.site, occurrence}, seen, folder);
  if (!look.is_known() || !look.kept.computation.values[look.kept.computation.result].apart) {
    return std::nullopt;
  }
  return cause_of_copies_apart(look.kept.computation, seen.step);
}

Facts explain_nonfinite(const CaseArm& arm, const Observation& seen, int64_t occurrence,
                        const fs::path& folder) {
  const Kept kept =
      look_at(arm, {seen.step, seen.phase, seen.site, occurrence}, seen, folder / arm.name).kept;
  if (!kept.computation.is_known()) return {};
  Facts facts = cause_of_nonfinite(kept.computation, seen.step).facts;
  const Facts where = nonfinite_facts(kept.computation.value());
  facts.insert(facts.end(), where.begin(), where.end());
  return facts;
}

}  // namespace samebits
