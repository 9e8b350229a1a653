#include "harness/tokenizer/added_tokens.h"

#include <utf8proc.h>

#include <algorithm>

#include "harness/tokenizer/utf8.h"

namespace samebits {
namespace {

// Unicode's White_Space.
bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

// A word character as Unicode's regular expressions define it (UTS 18, annex C): letters, marks,
// decimal digits, letter numbers and connector punctuation, the two joiners, and other symbols that
// count as alphabetic.
bool is_word(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) ||
             (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
             (c >= 0x1f170 && c <= 0x1f189);
  }
}

// The start of the character that ends at `end` (> 0).
size_t previous_start(std::string_view text, size_t end) {
  size_t start = end - 1;
  while ((static_cast<unsigned char>(text[start]) & 0xc0) == 0x80) --start;
  return start;
}

char32_t code_point_at(std::string_view text, size_t offset) {
  return next_code_point(text, offset);
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  const bool word_before = begin > 0 && is_word(code_point_at(text, previous_start(text, begin)));
  const bool word_after = end < text.size() && is_word(code_point_at(text, end));
  return !word_before && !word_after;
}

size_t without_space_before(std::string_view text, size_t begin) {
  while (begin > 0) {
    const size_t start = previous_start(text, begin);
    if (!is_space(code_point_at(text, start))) break;
    begin = start;
  }
  return begin;
}

size_t without_space_after(std::string_view text, size_t end) {
  while (end < text.size()) {
    size_t next = end;
    if (!is_space(next_code_point(text, next))) break;
    end = next;
  }
  return end;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(const std::vector<std::pair<std::string, AddedToken>>& patterns)
    : nodes_(1) {
  for (const auto& [pattern, token] : patterns) {
    size_t node = 0;
    for (const char byte : pattern) {
      const auto [child, is_new] = nodes_[node].children.try_emplace(byte, nodes_.size());
      node = child->second;
      if (is_new) nodes_.emplace_back();
    }
    nodes_[node].token = tokens_.size();
    tokens_.push_back(token);
  }
}

std::optional<std::pair<size_t, size_t>> AddedTokenFinder::longest_at(std::string_view text,
                                                                      size_t begin) const {
  std::optional<std::pair<size_t, size_t>> longest;
  size_t node = 0;
  for (size_t end = begin; end < text.size(); ++end) {
    const auto child = nodes_[node].children.find(text[end]);
    if (child == nodes_[node].children.end()) break;
    node = child->second;
    if (nodes_[node].token) longest = {*nodes_[node].token, end + 1};
  }
  return longest;
}

std::vector<AddedTokenFinder::Part> AddedTokenFinder::split(std::string_view text) const {
  std::vector<Part> parts;
  size_t done = 0;
  size_t at = 0;
  while (at < text.size()) {
    const auto found = longest_at(text, at);
    if (!found) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[found->first];
    size_t begin = at;
    size_t end = found->second;
    at = end;  // the search goes on behind the token itself, even where `rstrip` reaches further
    if (token.single_word && !stands_alone(text, begin, end)) continue;
    if (token.lstrip) begin = std::min(std::max(without_space_before(text, begin), done), end);
    if (token.rstrip) end = without_space_after(text, end);
    if (done < begin) parts.push_back({std::nullopt, text.substr(done, begin - done)});
    parts.push_back({token.id, text.substr(begin, end - begin)});
    done = end;
  }
  if (done < text.size()) parts.push_back({std::nullopt, text.substr(done)});
  return parts;
}

}  // namespace samebits
