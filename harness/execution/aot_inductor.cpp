#include "harness/execution/aot_inductor.h"

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/headeronly/version.h>

#include <set>
#include <sstream>
#include <unordered_map>

#include "harness/base/environment.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/base/json_difference.h"
#include "harness/execution/saved_graph.h"

namespace samebits {
namespace {

constexpr char kMaker[] = "a package that tools/aot-package makes";

using Metadata = std::unordered_map<std::string, std::string>;

Metadata metadata_of(const std::filesystem::path& file) {
  open_for_reading(file.string());  // its own error where there is none
  try {
    return torch::inductor::AOTIModelPackageLoader::load_metadata_from_package(file.string(),
                                                                               "model");
  } catch (const std::exception&) {
    throw InputError(file.string(), "no package of AOTInductor", kMaker);
  }
}

std::string value_of(const Metadata& metadata, const std::filesystem::path& file,
                     const std::string& key) {
  const auto found = metadata.find("samebits." + key);
  if (found == metadata.end()) {
    throw InputError(file.string(), "a package that does not tell its " + key, kMaker);
  }
  return found->second;
}

std::set<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::set<std::string> words;
  for (std::string word; in >> word;) words.insert(word);
  return words;
}

// What of a saved graph decides what it computes: not the first call's sizes, nor the names of what
// it takes from its program, nor where a guard stands in the source.
Json essence_of(const std::string& text, const std::string& where) {
  const Json whole = parse_json(text, where);
  Json essence = Json::object();
  for (const char* key : {"symbols", "inputs", "constants", "nodes", "outputs"}) {
    if (!whole.contains(key)) throw InputError(where, fmt::format("no key {}", key), kMaker);
    essence[key] = whole.at(key);
  }
  for (Json& symbol : essence["symbols"]) symbol.erase("hint");
  for (Json& constant : essence["constants"]) constant.erase("tensor");
  for (Json& list : essence) {  // by number, so that a difference has a place
    Json numbered = Json::object();
    for (size_t i = 0; i < list.size(); ++i) numbered[fmt::format("{:05}", i)] = std::move(list[i]);
    list = std::move(numbered);
  }
  return essence;
}

}  // namespace

void check_aot_package(const std::filesystem::path& file) {
  const Metadata metadata = metadata_of(file);
  const std::string here =
      fmt::format("{}.{}.{}", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, TORCH_VERSION_PATCH);
  if (const std::string torch = value_of(metadata, file, "torch"); torch != here) {
    throw InputError(file.string(), "a package of torch " + torch, "torch " + here);
  }
  const std::set<std::string> flags = words_of(processor_flags());
  for (const std::string& flag : words_of(value_of(metadata, file, "processor_flags"))) {
    if (flags.count(flag) != 0) continue;
    throw InputError(file.string(), "a package of a processor with " + flag,
                     "one made on this kind of processor");
  }
  essence_of(value_of(metadata, file, "graph"), file.string());
}

AotInductorProgram::AotInductorProgram(const Mode& mode, ProgramSpec spec)
    : GraphProgram(mode, std::move(spec)) {
  check_aot_package(mode.package);
}

AotInductorProgram::~AotInductorProgram() = default;

void AotInductorProgram::load(std::shared_ptr<const ir::Graph> graph) {
  const std::string file = mode().package.string();
  const std::string made_of = value_of(metadata_of(file), file, "graph");
  const std::string traced = saved_graph(*graph, model(), name());
  if (const auto difference =
          first_difference(essence_of(made_of, file), essence_of(traced, "the traced graph"))) {
    throw InputError(
        file,
        fmt::format("a package of another graph: {} is {}", difference->key, difference->first),
        fmt::format("{} in the graph of this {}", difference->second, name()));
  }
  // The package asks for libtorch.so. The wheel's asks for all of CUDA in its turn and gives
  // nothing that libtorch_cpu.so lacks, so an empty one of that name comes first.
  if (dlopen(SAMEBITS_EMPTY_LIBTORCH, RTLD_NOW) == nullptr) throw RunError(dlerror());
  package_ = std::make_unique<torch::inductor::AOTIModelPackageLoader>(file);
  for (const ir::Value& value : graph->values) {
    if (value.kind != ir::ValueKind::constant) continue;
    TORCH_CHECK(value.constant.is_contiguous(), "a package takes contiguous tensors, not ",
                value.name);
    constants_.push_back(value.constant);
  }
  graph_ = std::move(graph);
}

std::vector<at::Tensor> AotInductorProgram::run(const std::vector<at::Tensor>& inputs,
                                                ReplayDigests*) {
  const c10::NoGradGuard no_grad;  // the graph of a program that differentiates has its backward
  check_parameters();
  std::vector<at::Tensor> all = on_device(inputs);
  const std::shared_ptr<const ir::Graph> served = captured().serve(all).graph;
  if (!package_) load(served);
  if (served != graph_) {
    throw RunError("a guard of the " + name() + "'s graph is false, and " +
                   mode().package.string() + " holds that graph alone");
  }
  for (at::Tensor& input : all) input = input.contiguous();
  all.insert(all.end(), constants_.begin(), constants_.end());
  ++runs_;
  return package_->run(all);
}

Witness AotInductorProgram::witness() const {
  Witness witness = GraphProgram::witness();
  witness.compiled_runs = runs_;
  return witness;
}

}  // namespace samebits
