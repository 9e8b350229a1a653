#include "harness/tokenizer/bpe.h"

#include <queue>
#include <tuple>

namespace samebits {
namespace {

constexpr size_t kNone = static_cast<size_t>(-1);

// A token of the word so far, linked to its neighbours. A merge keeps the left symbol.
struct Symbol {
  uint32_t id;
  size_t previous;
  size_t next;
  bool is_merged_away = false;
};

// A pair whose left symbol is at `position`; `id` is what it would become. Stale once either symbol
// has changed.
struct Candidate {
  uint32_t rank;
  size_t position;
  uint32_t id;

  bool operator>(const Candidate& other) const {
    return std::tie(rank, position) > std::tie(other.rank, other.position);
  }
};

}  // namespace

void Bpe::encode(const std::string& word, std::vector<int64_t>& ids) const {
  if (word.empty()) return;
  if (const auto whole = whole_words_.find(word); whole != whole_words_.end()) {
    ids.push_back(whole->second);
    return;
  }
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (size_t i = 0; i < word.size(); ++i) {
    symbols.push_back({byte_ids_[static_cast<uint8_t>(word[i])], i == 0 ? kNone : i - 1,
                       i + 1 == word.size() ? kNone : i + 1});
  }
  const auto merge_at = [&](size_t position) {
    return merges_.find(pair_key(symbols[position].id, symbols[symbols[position].next].id));
  };

  std::vector<Candidate> initial;
  initial.reserve(word.size());
  for (size_t i = 0; i + 1 < symbols.size(); ++i) {
    const auto merge = merge_at(i);
    if (merge != merges_.end()) initial.push_back({merge->second.rank, i, merge->second.id});
  }
  std::priority_queue queue(std::greater<Candidate>(), std::move(initial));

  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.position];
    if (left.is_merged_away || left.next == kNone) continue;
    const auto merge = merge_at(top.position);
    if (merge == merges_.end() || merge->second.id != top.id) continue;

    Symbol& right = symbols[left.next];
    right.is_merged_away = true;
    left.id = top.id;
    left.next = right.next;
    if (left.next != kNone) symbols[left.next].previous = top.position;

    for (const size_t position : {left.previous, left.next == kNone ? kNone : top.position}) {
      if (position == kNone) continue;
      const auto next = merge_at(position);
      if (next != merges_.end()) queue.push({next->second.rank, position, next->second.id});
    }
  }
  for (size_t i = 0; i != kNone; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace samebits
