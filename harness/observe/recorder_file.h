#pragma once

#include <filesystem>
#include <string>

// What the recorder of another program (python/) leaves beside its stream. docs/stream.md has the
// files.
namespace samebits {

// True where recorder.json stands in the folder: a recorder began to write there, and ends with a
// marker. InputError where the file is broken, or of a format that is not known here.
bool has_recorder(const std::filesystem::path& arm_folder);

// At which level a recorder observed, "op"; "" where none did, or does not say. InputError where
// the file is broken, likewise.
std::string recorder_level(const std::filesystem::path& arm_folder);

// The line of the program that computed an operator's output, "models/qwen3.py:231 in forward", as
// the recorder of this rank noted it; "" where it did not. InputError where the file is broken.
std::string source_of(const std::filesystem::path& arm_folder, int64_t rank,
                      const std::string& site);

}  // namespace samebits
