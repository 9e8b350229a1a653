#pragma once

#include <filesystem>
#include <string>

namespace samebits {

// Lays `repros`/NAME from a recorded run whose arms part: README.md and issue.md with what the run
// knows (the first divergence of the first relation that failed, in what the two arms differ, the
// environment, the commands), and with a sentence that says so where a person must go on; repro.h
// and repro.cpp, which build and fail their tests until they are written. Returns the folder.
//
// InputError, and nothing written: a name that is not [a-z_][a-z0-9_]*, a folder that exists, a run
// that was cut off or in which no relation failed at a value.
std::filesystem::path new_repro(const std::string& name, const std::filesystem::path& run_folder,
                                const std::filesystem::path& repros);

}  // namespace samebits
