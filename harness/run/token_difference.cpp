#include "harness/run/token_difference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "harness/base/error.h"
#include "harness/compare/relation.h"
#include "harness/tokenizer/tokenizer.h"

namespace samebits {
namespace {

using Facts = std::vector<std::pair<std::string, std::string>>;

std::optional<int64_t> token_at(const at::Tensor& completion, int64_t t) {
  if (t >= completion.numel()) return std::nullopt;
  return completion.const_data_ptr<int64_t>()[t];
}

std::string word_text(const Tokenizer& tokenizer, std::optional<int64_t> token) {
  if (!token) return "none";
  return fmt::format("{} {}", *token, quoted(tokenizer.decode({{*token}}, /*skip_special=*/false)));
}

const Observation* logprob_of(const ArmRecording& recording, int64_t step, int64_t completion,
                              int64_t t) {
  const std::string site = fmt::format("logprob[{},{}]", completion, t);
  for (const Observation& each : recording.ranks.front().observations) {
    if (each.step == step && each.site == site) return &each;  // the generator's stands first
  }
  return nullptr;
}

// "-1.25 against -1.5, 0.25 apart"; "" where both are equal or one has none.
std::string logprobs_text(const Observation* a, const Observation* b) {
  if (a == nullptr || b == nullptr || bit_exact(*a, *b) == Agreement::kHolds) return "";
  return fmt::format("{} against {}, {:.3g} apart", scalar_text(*a), scalar_text(*b),
                     std::abs(scalar_value(*a) - scalar_value(*b)));
}

}  // namespace

Facts first_token_difference(const CaseArm& arm_a, const CaseArm& arm_b, const Kept& a,
                             const Kept& b, int64_t step, const ArmRecording& recorded_a,
                             const ArmRecording& recorded_b) {
  const Tokenizer words_a = Tokenizer::from_folder(arm_a.model);
  const Tokenizer words_b = Tokenizer::from_folder(arm_b.model);
  const size_t completions = std::min(a.completions.size(), b.completions.size());
  std::optional<Facts> scored;  // the first token that is scored otherwise
  for (size_t i = 0; i < completions; ++i) {
    const at::Tensor& of_a = a.completions[i];
    const at::Tensor& of_b = b.completions[i];
    for (int64_t t = 0; t < std::max(of_a.numel(), of_b.numel()); ++t) {
      const auto token_a = token_at(of_a, t);
      const auto token_b = token_at(of_b, t);
      const auto completion = static_cast<int64_t>(i);
      const std::string logprobs = logprobs_text(logprob_of(recorded_a, step, completion, t),
                                                 logprob_of(recorded_b, step, completion, t));
      const std::string place = fmt::format("completion {}, token {}: ", i, t);
      if (token_a != token_b) {
        Facts facts = {{"token", place + word_text(words_a, token_a) + " against " +
                                     word_text(words_b, token_b)}};
        if (!logprobs.empty()) facts.emplace_back("logprobs", logprobs);
        return facts;
      }
      if (scored || logprobs.empty()) continue;
      scored = {{"token", place + word_text(words_a, token_a) + " in both"},
                {"logprobs", logprobs}};
    }
  }
  return scored.value_or(Facts());
}

}  // namespace samebits
