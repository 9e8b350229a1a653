#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <string>

// What flags of several commands ask of their text, before it is converted.
namespace samebits {

// A whole number from `least` on, in decimal. CLI11 itself reads "010" as octal, and what lies
// beyond 64 bits as the nearest number within.
CLI::Validator whole_number(int64_t least);

// A text of a path or a name: not empty, as that of a variable which is not set.
CLI::Validator not_empty();

// A folder as it was typed, without a slash at its end: what is put behind its name stands beside
// it.
std::filesystem::path folder_of(const std::string& typed);

}  // namespace samebits
