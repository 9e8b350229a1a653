#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace samebits {

// The bytes that a file had in a commit of the git repository that it lies in. nullopt where it lies
// in none, git is not there, or that commit has no such file. `scratch`: a file that is written.
// Throws RunError where no process can be made.
std::optional<std::string> file_of_commit(const std::filesystem::path& file,
                                          const std::string& commit,
                                          const std::filesystem::path& scratch);

}  // namespace samebits
