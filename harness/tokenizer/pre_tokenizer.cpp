#include "harness/tokenizer/pre_tokenizer.h"

#include <algorithm>

namespace samebits {
namespace {

struct Part {
  size_t begin;
  size_t end;
  bool is_match;
};

// Matches and what lies between them, covering the text.
std::vector<Part> parts_of(std::string_view text, const Regex& regex, bool invert) {
  std::vector<Part> parts;
  size_t end = 0;
  for (const Regex::Match& match : regex.find_all(text)) {
    if (end != match.begin) parts.push_back({end, match.begin, invert});
    parts.push_back({match.begin, match.end, !invert});
    end = match.end;
  }
  if (end != text.size()) parts.push_back({end, text.size(), invert});
  return parts;
}

// Joins a match to the part before it, unless that is a match too.
std::vector<Part> merged_with_previous(const std::vector<Part>& parts) {
  std::vector<Part> merged;
  bool last_is_match = false;
  for (const Part& part : parts) {
    if (part.is_match && !last_is_match && !merged.empty()) {
      merged.back().end = part.end;
    } else {
      merged.push_back(part);
    }
    last_is_match = part.is_match;
  }
  return merged;
}

// The same towards the part after it.
std::vector<Part> merged_with_next(const std::vector<Part>& parts) {
  std::vector<Part> merged;
  bool last_is_match = false;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->is_match && !last_is_match && !merged.empty()) {
      merged.back().begin = part->begin;
    } else {
      merged.push_back(*part);
    }
    last_is_match = part->is_match;
  }
  std::reverse(merged.begin(), merged.end());
  return merged;
}

// Joins neighbours of one kind.
std::vector<Part> contiguous(const std::vector<Part>& parts) {
  std::vector<Part> joined;
  bool last_is_match = false;
  for (const Part& part : parts) {
    if (part.is_match == last_is_match && !joined.empty()) {
      joined.back().end = part.end;
    } else {
      joined.push_back(part);
    }
    last_is_match = part.is_match;
  }
  return joined;
}

std::vector<std::string> cut(const std::vector<std::string>& texts, const Regex& regex,
                             PreTokenizer::Behavior behavior, bool invert) {
  using Behavior = PreTokenizer::Behavior;
  std::vector<std::string> words;
  for (const std::string& text : texts) {
    std::vector<Part> parts = parts_of(text, regex, invert);
    if (behavior == Behavior::removed) {
      std::erase_if(parts, [](const Part& part) { return part.is_match; });
    } else if (behavior == Behavior::merged_with_previous) {
      parts = merged_with_previous(parts);
    } else if (behavior == Behavior::merged_with_next) {
      parts = merged_with_next(parts);
    } else if (behavior == Behavior::contiguous) {
      parts = contiguous(parts);
    }
    for (const Part& part : parts) {
      if (part.begin != part.end) words.push_back(text.substr(part.begin, part.end - part.begin));
    }
  }
  return words;
}

}  // namespace

std::vector<std::string> PreTokenizer::words_of(std::string_view text) const {
  std::vector<std::string> words;
  if (!text.empty()) words.emplace_back(text);
  for (const Split& split : splits_) words = cut(words, split.regex, split.behavior, split.invert);
  if (add_prefix_space_) {
    for (std::string& word : words) {
      if (!word.starts_with(' ')) word.insert(0, 1, ' ');
    }
  }
  if (last_) words = cut(words, *last_, Behavior::isolated, /*invert=*/false);
  return words;
}

}  // namespace samebits
