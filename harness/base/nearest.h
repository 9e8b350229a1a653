#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace samebits {

// Edits (insert, delete, replace, swap two neighbours; of bytes) that turn `a` into `b`. This is
// the optimal string alignment distance: no part is edited twice.
size_t edit_distance(std::string_view a, std::string_view b);

// The known word that `word` is probably a misspelling of: the one with the fewest edits, the first
// of equals, if they are at most a third of the longer word's length (at least one is allowed).
// nullopt if none is that near.
std::optional<std::string> nearest_word(std::string_view word, std::span<const std::string> known);

}  // namespace samebits
