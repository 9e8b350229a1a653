#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/bits/digest.h"
#include "harness/bits/dtype.h"

namespace samebits {

struct TensorView;

// The elements of a tensor that was kept beside its stream (kept_file.h): borrowed, and no part of
// what was observed, so that any two are equal.
struct KeptElements {
  const TensorView* tensor = nullptr;  // null: not kept
  bool operator==(const KeptElements&) const { return true; }
};

// One thing seen at one site of one arm: the digest of a tensor, and the value itself where the
// tensor is a scalar.
struct Observation {
  int64_t step = 0;
  std::string phase;  // "rollout"; all of them: workload/observer.h
  std::string site;   // "loss", "logprob[3,0]", "layers.3.attention.wo#0"
  int32_t rank = 0;   // beside the dtype, where it takes no word of its own: there may be millions
  Dtype dtype = Dtype::float32;
  std::vector<int64_t> shape = {};
  Digest digest = {};
  std::optional<uint64_t> bits = {};  // the raw bits of a scalar, zero-extended; shape [] has it
  int64_t nonfinite = 0;  // NaN and infinite elements of a tensor, where they were counted
  // Of a value that every rank of a local mesh holds: the ranks whose copy is not the first one's.
  std::vector<int64_t> apart = {};
  KeptElements kept = {};

  bool operator==(const Observation&) const = default;
};

// A scalar's observation, digest included.
Observation observe_float32(int64_t step, std::string phase, int64_t rank, std::string site,
                            float value);
Observation observe_int64(int64_t step, std::string phase, int64_t rank, std::string site,
                          int64_t value);

// A contiguous tensor's; with one element and shape [], a scalar's.
Observation observe_tensor(int64_t step, std::string phase, int64_t rank, std::string site,
                           Dtype dtype, std::vector<int64_t> shape, const void* data);

// How many of `count` contiguous elements are NaN or infinite; 0 for integers.
int64_t count_nonfinite(Dtype dtype, const void* data, int64_t count);

// True where the scalar is NaN or infinite, or where elements of the tensor were counted as such.
bool has_nonfinite(const Observation& observation);

// A value of this type as a number. int64 beyond 2^53 rounds.
double value_of(Dtype dtype, uint64_t bits);

// The scalar as a number; NaN where there is none. int64 beyond 2^53 rounds.
double scalar_value(const Observation& observation);

// The scalar as a person reads it and as the stream writes it: the shortest digits that read back
// to the same bits, an integer in full, or nan, inf, -inf. Empty where there is none.
std::string scalar_text(const Observation& observation);

// How many observations of the step, phase, rank and site of the one at `index` come before it.
int64_t occurrence_of(const std::vector<Observation>& observations, size_t index);

// One line of JSON, keys in the order of docs/stream.md, with "bits" and "value" for a scalar, or
// "nonfinite" for a tensor that has such elements, and "apart" where ranks hold other copies. The
// same observation gives the same bytes everywhere. No newline.
std::string line_from_observation(const Observation& observation);

// The inverse. Throws InputError that starts with `where`: broken JSON, unknown, missing or
// duplicate keys, wrong types, a digest or value that does not belong to the bits.
Observation observation_from_line(std::string_view line, const std::string& where);

}  // namespace samebits
