#pragma once

#include <filesystem>
#include <vector>

namespace samebits {

// Throws InputError for a file that changes what a model folder means and that samebits does not
// read, such as an adapter.
void refuse_foreign_files(const std::filesystem::path& folder);

// The files that hold the weights, in Transformers' order: model.safetensors if there is one, else
// what model.safetensors.index.json names, in the order of their names. Throws InputError for a
// folder without either, and for an index that is broken or reaches outside the folder.
std::vector<std::filesystem::path> weight_files(const std::filesystem::path& folder);

}  // namespace samebits
