#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/tokenizer/regex.h"

namespace samebits {

// Cuts a text into the words that byte-pair merges never cross. Semantics of every step: the
// `tokenizers` library, pre_tokenizers/{split,byte_level}.rs and NormalizedString::split.
class PreTokenizer {
 public:
  // What becomes of the parts that a pattern matches.
  enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

  struct Split {
    Regex regex;
    Behavior behavior;
    bool invert;  // swaps matches and the rest
  };

  // `splits` in order; then, if `add_prefix_space`, each part that does not begin with a space is
  // given one; then, if there is one, `last` cuts each part once more, isolating its matches.
  PreTokenizer(std::vector<Split> splits, bool add_prefix_space, std::optional<Regex> last)
      : splits_(std::move(splits)), add_prefix_space_(add_prefix_space), last_(std::move(last)) {}

  // The words, none empty, of a well-formed UTF-8 text.
  std::vector<std::string> words_of(std::string_view text) const;

 private:
  std::vector<Split> splits_;
  bool add_prefix_space_;
  std::optional<Regex> last_;
};

// GPT-2's expression, which a ByteLevel step with `use_regex` applies.
// Source: openai/gpt-2, encoder.py.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace samebits
