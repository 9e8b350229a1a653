#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/observe/arm_recording.h"
#include "harness/observe/tensor_keeper.h"

namespace samebits {

// How a case fails: what stays when it is made smaller.
struct CaseFailure {
  enum class Kind {
    kDiffers,    // two arms of a relation
    kNonfinite,  // a NaN or an infinity
    kOffPolicy,  // an arm's generator and trainer
    kHolds,      // what was to diverge, arms or the sides of one, does not
  };
  Kind kind = Kind::kDiffers;
  std::vector<std::string> arms;  // two, or the one that fails by itself
  // The kind of the first value of level `step` that fails: "logprob". "" of kHolds.
  std::string value = {};
  // The operator without its layer and its number, "layers.attention.wo"; "" where none is named.
  std::string named_operator = {};
  std::string where = {};  // for a person: "step 3, train, loss: 7.4252 against 7.4253, 5 ULP"
  int64_t step = 0;        // the failure is there after this one
  std::optional<ObservationPlace> place = {};  // of what two arms give otherwise

  // It is the failure that is wanted: of the same arms, in the same manner, at the same operator;
  // where that of the wanted one is not known, at the same kind of value.
  bool is_like(const CaseFailure& wanted) const;

  // The operator or, where none is named, the kind of value.
  const std::string& what() const { return named_operator.empty() ? value : named_operator; }

  std::string text() const;  // "eager and fused differ at layers.attention_norm"
};

// The first failure of a case, in what its arms recorded: of its relations, then of its arms. Of
// `arms` alone where it names some: two for a pair, one for what fails by itself. nullopt where
// nothing fails in one of these ways.
std::optional<CaseFailure> first_failure(const Case& c, const std::vector<ArmRecording>& recordings,
                                         const std::vector<std::string>& arms = {});

// Why what an arm recorded proves nothing: files, modes, ranks; "" where it does.
std::string why_no_evidence(const Case& c, const std::vector<ArmRecording>& recordings);

// "layers.attention.wo" of "layers.3.attention.wo#0", "logprob" of "logprob[3,0]".
std::string site_without_numbers(const std::string& site);

}  // namespace samebits
