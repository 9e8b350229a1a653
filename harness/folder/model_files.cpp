#include "harness/folder/model_files.h"

#include <set>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/folder/known_keys.h"
#include "harness/folder/without_effect.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;
constexpr const char* kWeights = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

// Names in the folder itself: an index must not reach outside it.
std::set<std::string> files_of_index(const fs::path& index) {
  const Json json = read_json_file(index);
  const JsonReader root(json, index.string());
  check_keys(root, {kIndex}, {"weight_map"});
  const JsonReader map = root.required("weight_map");
  std::set<std::string> names;
  for (const std::string& tensor : map.keys()) {
    const JsonReader file = map.required(tensor);
    const std::string name = file.non_empty_string();
    if (name.find('/') != std::string::npos || name == "." || name == "..") {
      file.fail(file.shown(), "the name of a file in the same folder");
    }
    if (!name.ends_with(".safetensors")) file.fail(file.shown(), "a .safetensors file");
    names.insert(name);
  }
  if (names.empty()) map.fail("no tensor", "the model's weights");
  return names;
}

}  // namespace

void refuse_foreign_files(const fs::path& folder) {
  for (const FileNotRead& file : files_not_read()) {
    if (file.is_refused && fs::exists(folder / file.name)) {
      throw InputError((folder / file.name).string(), "it in a model folder",
                       "no such file (" + std::string(file.reason) + ")");
    }
  }
}

std::vector<fs::path> weight_files(const fs::path& folder) {
  // A link that leads nowhere stands for its file, so that the message is about the link.
  const auto is_there = [&](const char* name) {
    return fs::exists(fs::symlink_status(folder / name));
  };
  if (is_there(kWeights)) return {folder / kWeights};
  if (is_there(kIndex)) {
    std::vector<fs::path> files;
    for (const std::string& name : files_of_index(folder / kIndex)) files.push_back(folder / name);
    return files;
  }
  for (const char* other : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    if (is_there(other)) {
      throw InputError((folder / other).string(), "weights as a pickle alone",
                       std::string("them as ") + kWeights);
    }
  }
  throw InputError(folder.string(), std::string("neither ") + kWeights + " nor " + kIndex,
                   "the model's weights");
}

}  // namespace samebits
