#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/base/json.h"

// A smaller model made of a larger one: the first layers, heads, rows and columns of its weights.
// What it says is no language; its operators are the same ones.
namespace samebits {

// A size of a model that may be cut, and how small it may become.
struct ModelSize {
  std::string key;   // of config.json
  std::string name;  // for a person
  int64_t value = 0;
  int64_t least = 1;
  int64_t multiple = 1;  // every value is one of this
};

// The sizes that can be cut of the model of `folder`, where `cut` (key of config.json to value)
// says what has been already. The vocabulary keeps the tokens of `prompts`. Throws InputError for a
// folder that holds no model.
std::vector<ModelSize> model_sizes_of(const std::filesystem::path& folder, const Json& cut,
                                      const std::vector<std::string>& prompts);

// Writes the model of `from`, cut to `sizes`, into the new folder `to`; with none, copies it.
// Throws InputError where no such model can be made.
void write_cut_model(const std::filesystem::path& from, const Json& sizes,
                     const std::filesystem::path& to);

}  // namespace samebits
