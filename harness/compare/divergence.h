#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/compare/relation.h"
#include "harness/observe/arm_recording.h"

namespace samebits {

// The place at which two recordings part. A value, not an error.
struct Divergence {
  int64_t step = 0;
  std::string phase;
  int64_t rank = 0;
  std::string site;
  int64_t occurrence = 0;            // which of this site's in the step, from 0
  std::optional<Observation> a;      // absent: only the other arm saw it
  std::optional<Observation> b;      // under its own name, whatever a map makes of that
  int64_t occurrence_b = 0;          // likewise: which of that site's in the second arm
  std::optional<uint64_t> distance;  // of two floating-point scalars
  std::string elements;          // of two tensors that were kept: how many differ, and the first
  bool is_out_of_order = false;  // both saw the same, in another order

  // "step 3, train, loss: 7.4252 against 7.4253, 5 ULP"; rank and occurrence where they are not 0.
  std::string text() const;
  std::string place() const;   // "step 3, train, loss"
  std::string values() const;  // "7.4252 against 7.4253, 5 ULP"
};

struct PairComparison {
  std::optional<Divergence> first;        // in program order; nullopt: the relation held everywhere
  std::optional<Divergence> first_value;  // the first of values that both saw
  int64_t compared = 0;                   // aligned observations that the relation could judge
  int64_t different = 0;                  // of these, how many it refuses
  int64_t unknown = 0;    // aligned tensors that it could not: digests know no distance
  int64_t nonfinite = 0;  // compared values that are NaN or infinite on both sides
  std::optional<Observation> first_nonfinite;  // the first of these, as the first arm saw it
  int64_t only_a = 0;
  int64_t only_b = 0;
  int64_t steps_a = 0;  // distinct steps seen
  int64_t steps_b = 0;
  // Where values differ, whatever the relation: the first step, and the largest distance by kind.
  std::optional<int64_t> first_different_step;
  std::map<std::string, int64_t> different_at;  // by site: how many of `different`
  std::string precision;  // of recordings that were read from logs (common_precision.h); "": bits
  uint64_t max_loss_ulp = 0;
  uint64_t max_logprob_ulp = 0;

  // Two NaNs agree in nothing: whoever accepts them (Nonfinite) asks differs() instead.
  bool agrees() const { return !differs() && nonfinite == 0; }
  bool differs() const { return first || compared == 0; }

  // The first value that differs, where the first divergence is another one; else null.
  const Divergence* later_value() const {
    const bool is_later = first && first_value && first_value->text() != first->text();
    return is_later ? &*first_value : nullptr;
  }
};

// Aligns two recordings by (step, phase, rank, site, occurrence) and judges every pair. Ranks that
// only one of them has belong to its larger mesh and are not compared. Recordings of logs are
// compared in their common precision; with a map both in its layouts, `b` under the names that it
// gives.
PairComparison compare_recordings(const ArmRecording& a, const ArmRecording& b,
                                  const Relation& relation);

// The same for two streams of one rank.
PairComparison compare_streams(const std::vector<Observation>& a, const std::vector<Observation>& b,
                               const Relation& relation);

// Pairs of indices into `a` and `b`, in program order; nullopt on the side that lacks it. An
// observation that only `b` has comes right after what it followed there. The operators of a
// recorded program, "mlp/aten.mul.Tensor[1]#0", are paired by shape and order instead of number.
using AlignedPair = std::pair<std::optional<size_t>, std::optional<size_t>>;
std::vector<AlignedPair> align(const std::vector<Observation>& a,
                               const std::vector<Observation>& b);

// The recording at level `step`.
ArmRecording without_operators(ArmRecording recording);

// "bfloat16 [1, 8, 128]".
std::string form_text(Dtype dtype, const std::vector<int64_t>& shape);

// True for operator outputs, "layers.3.attention.wo#0", which only level `op` records.
bool is_operator_site(const std::string& site);

// The site without its indices: "logprob" of "logprob[3,0]".
std::string site_kind(const std::string& site);

}  // namespace samebits
