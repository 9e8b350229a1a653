#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace samebits {

// Byte-pair encoding of one word: its bytes become tokens, then the neighbouring pair whose merge
// has the lowest rank is merged, the leftmost first, until no pair has a merge. Semantics of ties
// and stale queue entries: the `tokenizers` library, models/bpe/word.rs, `merge_all`.
class Bpe {
 public:
  struct Merge {
    uint32_t rank;
    uint32_t id;  // the token that the pair becomes
  };
  using Merges = std::unordered_map<uint64_t, Merge>;
  using Words = std::unordered_map<std::string, uint32_t>;

  static uint64_t pair_key(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }

  // `whole_words`: words that are one token whatever the merges say (`ignore_merges`); else empty.
  Bpe(const std::array<uint32_t, 256>& byte_ids, Merges merges, Words whole_words)
      : byte_ids_(byte_ids), merges_(std::move(merges)), whole_words_(std::move(whole_words)) {}

  // Appends the token ids of a word, which may be any bytes. n log n in its length.
  void encode(const std::string& word, std::vector<int64_t>& ids) const;

 private:
  std::array<uint32_t, 256> byte_ids_;
  Merges merges_;
  Words whole_words_;
};

}  // namespace samebits
