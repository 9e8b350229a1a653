#pragma once

#include <string>
#include <utility>
#include <vector>

namespace samebits {

// The words of files and screens for the values of an enumeration. Reading and writing use the same
// table: beside each enumeration that has words stands `const Names<E>& names_of(E)`, whose
// argument only says which.
template <class Enum>
using Names = std::vector<std::pair<std::string, Enum>>;

template <class Enum>
std::string name_in(const Names<Enum>& names, Enum value) {
  for (const auto& [name, named] : names) {
    if (named == value) return name;
  }
  return "?";
}

template <class Enum>
auto to_string(Enum value) -> decltype(name_in(names_of(value), value)) {
  return name_in(names_of(value), value);
}

}  // namespace samebits
