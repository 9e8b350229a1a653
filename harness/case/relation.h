#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/base/names.h"
#include "harness/case/site_rules.h"

namespace samebits {

// A NaN or an infinity in a loss, reward, logprob, norm or weight: a failure of its arm, or
// accepted.
enum class Nonfinite { kRefuse, kAccept };

inline const Names<Nonfinite>& names_of(Nonfinite) {
  static const Names<Nonfinite> names = {{"refuse", Nonfinite::kRefuse},
                                         {"accept", Nonfinite::kAccept}};
  return names;
}

enum class Holds { kBitExact, kUlp, kAllclose, kMustDiverge, kNothing };

// kNothing is the word of an arm's own two sides alone, on_policy.
inline const Names<Holds>& names_of(Holds) {
  static const Names<Holds> names = {{"bit_exact", Holds::kBitExact},
                                     {"ulp", Holds::kUlp},
                                     {"allclose", Holds::kAllclose},
                                     {"must_diverge", Holds::kMustDiverge},
                                     {"none", Holds::kNothing}};
  return names;
}

// A tensor whose digests differ, under a bound: a digest knows no distance. It fails, or is counted
// as not compared.
enum class TensorRule { kMustMatch, kNotCompared };

inline const Names<TensorRule>& names_of(TensorRule) {
  static const Names<TensorRule> names = {{"must_match", TensorRule::kMustMatch},
                                          {"not_compared", TensorRule::kNotCompared}};
  return names;
}

// What must hold between some arms, or between the two sides of one.
struct Relation {
  std::vector<std::string> arms;  // at least two, all of the case, none twice; none of an arm's own
  Holds holds = Holds::kBitExact;
  int64_t max_ulp = 0;  // kUlp
  double rtol = 0;      // kAllclose
  double atol = 0;
  TensorRule tensors = TensorRule::kMustMatch;  // under kUlp and kAllclose
  SiteRules map = {};                           // between the first arm and the others
  std::string reason;  // why this relation, or this bound; required with a bound
};

// Why a case wants a step that repeats the one before; "": it does not, and such a step fails.
struct Repeats {
  std::string weights;   // "lr is 0"
  std::string rollouts;  // completions and their logprobs: "greedy decoding"
};

}  // namespace samebits
