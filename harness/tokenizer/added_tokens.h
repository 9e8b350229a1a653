#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace samebits {

// No file may say a larger id.
inline constexpr int64_t kLargestId = (int64_t{1} << 31) - 1;

// A token that is looked for in the text before anything else; the fields are those of
// tokenizer.json.
struct AddedToken {
  uint32_t id = 0;
  std::string content;
  bool single_word = false;  // only where no word character stands beside it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and after it
  bool normalized = false;   // is looked for in the normalised text
  bool special = false;      // may be skipped when decoding
};

// Finds added tokens. Semantics: the `tokenizers` library, added_vocabulary.rs, `find_matches`.
class AddedTokenFinder {
 public:
  // A part of a text: an added token, or (id nullopt) what lies between them.
  struct Part {
    std::optional<uint32_t> id;
    std::string_view text;
  };

  // Each token is looked for by its pattern (its content, normalised or not), none of them empty
  // and no two alike.
  explicit AddedTokenFinder(const std::vector<std::pair<std::string, AddedToken>>& patterns);

  // The parts in order, none empty but where `rstrip` made tokens overlap; well-formed UTF-8.
  std::vector<Part> split(std::string_view text) const;

 private:
  // A byte trie; nodes_[0] is its root.
  struct Node {
    std::map<char, size_t> children;
    std::optional<size_t> token;  // index into tokens_
  };
  // The longest token that starts at `begin`, as its index and end.
  std::optional<std::pair<size_t, size_t>> longest_at(std::string_view text, size_t begin) const;

  std::vector<Node> nodes_;
  std::vector<AddedToken> tokens_;
};

}  // namespace samebits
