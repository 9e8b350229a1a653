#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "harness/execution/captured.h"

namespace torch::inductor {
class AOTIModelPackageLoader;
}

namespace samebits {

// Throws InputError, in one line, for a file that is no package of tools/aot-package, and for one
// that another release of torch made, or a processor with instructions that this one lacks. It
// holds machine code, which runs as part of this program.
void check_aot_package(const std::filesystem::path& file);

// Mode `aot_inductor`: the program is traced, and what runs at every call is what AOTInductor made
// of that graph beforehand. The package tells which graph it was made of; any other than the one
// that was traced here is an InputError that says where the two differ. What the graph takes from
// its program (weights, caches, sums) is handed over at every call, by address. On the CPU, TP 1.
class AotInductorProgram : public GraphProgram {
 public:
  AotInductorProgram(const Mode& mode, ProgramSpec spec);
  ~AotInductorProgram() override;

  // Throws RunError where a guard of the graph is false: a package holds one graph.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs,
                              ReplayDigests* digests) override;
  Witness witness() const override;

 private:
  void load(std::shared_ptr<const ir::Graph> graph);

  std::shared_ptr<const ir::Graph> graph_;  // null before the first call
  std::vector<at::Tensor> constants_;       // of the graph, in its order
  std::unique_ptr<torch::inductor::AOTIModelPackageLoader> package_;
  int64_t runs_ = 0;
};

}  // namespace samebits
