#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/capture/guard_record.h"
#include "harness/capture/ir/graph.h"
#include "harness/capture/tracer.h"
#include "harness/execution/mode.h"
#include "harness/execution/witness.h"
#include "harness/graph/replay_digests.h"
#include "harness/graph/replayer.h"
#include "harness/model/decoder.h"

namespace samebits {

// How some of a program's calls become replays: one graph for each choice of buckets, inputs
// padded.
struct ReplayForm {
  std::string name;                    // for messages
  std::vector<std::string> splitting;  // operators that run between pieces; none: whole graphs
  std::vector<BucketedInput> inputs;
  std::vector<Buckets> buckets;  // of each of a call's counts
  // Nothing where such a call is no replay in this form.
  std::function<std::optional<ReplayCall>(const std::vector<at::Tensor>& inputs)> call;
  std::shared_ptr<ReplayPool> pool;             // of all graphs that replay beside each other
  std::vector<int64_t> counts_of_nothing = {};  // as of Replayer; none: no call is
};

// What is to be executed.
struct ProgramSpec {
  std::string name;                      // of its counters: "generator"
  const Decoder& model;                  // whose parameters it takes; borrowed
  Program program;                       // its own code
  std::vector<DynamicDim> dynamic_dims;  // of its inputs
  ModeLevel level = ModeLevel::kAboveAutograd;
  std::optional<ir::Graph> graph = {};   // captured before, to run instead of tracing
  std::vector<ReplayForm> replays = {};  // for the modes that replay: the first that fits a call
};

// What a program leaves for the witness of its arm, whatever its mode.
class ProgramRecord {
 public:
  virtual ~ProgramRecord() = default;
  virtual const std::string& name() const = 0;
  virtual const Mode& mode() const = 0;
  virtual Witness witness() const = 0;  // cumulative
  // Every guard of its graphs, with the sizes at which it was false.
  virtual std::vector<GuardRecord> guards() const = 0;
  // Its graphs as files that an arm can run from; none where it cannot.
  virtual std::vector<std::string> saved_graphs() const = 0;
};

Counters counters_of(const std::vector<const ProgramRecord*>& programs);
std::vector<GuardRecord> guards_of(const std::vector<const ProgramRecord*>& programs);
std::vector<std::string> saved_graphs_of(const std::vector<const ProgramRecord*>& programs);

// A program in a mode. It throws RunError at a call after a parameter of its model was replaced,
// where its graphs hold parameters by address.
class ExecutedProgram : public ProgramRecord {
 public:
  ExecutedProgram(const ExecutedProgram&) = delete;  // its program counts its entries here
  ExecutedProgram& operator=(const ExecutedProgram&) = delete;

  // Inputs on the model's device or on the CPU, which are copied there; outputs on either.
  // `digests`: filled where a replay served the call, which then digests what it marks.
  virtual std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs,
                                      ReplayDigests* digests = nullptr) = 0;

  const std::string& name() const override { return name_; }
  const Mode& mode() const override { return mode_; }
  std::vector<GuardRecord> guards() const override { return {}; }
  std::vector<std::string> saved_graphs() const override { return {}; }
  // In order of tracing.
  virtual std::vector<std::shared_ptr<const ir::Graph>> graphs() const { return {}; }

 protected:
  ExecutedProgram(const Mode& mode, const ProgramSpec& spec);

  const Decoder& model() const { return model_; }
  const Program& program() const { return program_; }  // counts its entries
  int64_t entries() const { return entries_; }
  // The same tensors, copied where they are not on the model's device yet.
  std::vector<at::Tensor> on_device(std::vector<at::Tensor> tensors) const;

 private:
  std::string name_;
  Mode mode_;
  const Decoder& model_;
  Program program_;
  int64_t entries_ = 0;
};

// Throws InputError for a graph or a mode that does not fit the program.
std::unique_ptr<ExecutedProgram> make_executed(const Mode& mode, ProgramSpec spec);

}  // namespace samebits
