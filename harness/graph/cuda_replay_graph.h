#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAStream.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/graph/address_ledger.h"
#include "harness/graph/cuda_graph.h"
#include "harness/graph/replay_graph.h"
#include "harness/graph/write_log.h"

namespace samebits {

// What the graphs of a CUDA pool share.
struct CudaPoolState {
  std::shared_ptr<PrivatePool> memory = std::make_shared<PrivatePool>();
  c10::cuda::CUDAStream stream = c10::cuda::getStreamFromPool();  // of captures
  WriteLog writes;
  std::vector<at::Tensor> buffers;

  // As PrivatePool::membership(), buffers included. Not to be kept.
  std::function<bool(const void*)> membership() const;
};

// One CUDA graph of a pool. Refuses what an EmulatedGraph refuses: in capture, what the driver does
// not permit (in the driver's words, with the operator's name), inputs and outputs that are not in
// the pool and memory that does not outlive it; before a replay, an input that was not written
// since the last one, or by somebody else; while it runs, memory from outside the pool that has
// moved. It does not see that another graph overwrote an output, or anything of the pool that a
// kernel reads before it is written: that is what the emulation is for.
class CudaReplayGraph final : public ReplayGraph {
 public:
  CudaReplayGraph(std::string name, std::shared_ptr<CudaPoolState> pool, const Program& program,
                  const std::vector<at::Tensor>& inputs);

  void replay() override;

  size_t outputs() const override { return outputs_.size(); }
  at::Tensor output(size_t index) const override;
  const ReplayWitness& witness() const override { return witness_; }

 private:
  struct Input {
    size_t index;
    const void* data;
    std::string writer;  // who had written it when the graph was captured
  };

  void adopt_inputs(const std::vector<at::Tensor>& inputs);
  void capture(const Program& program, const std::vector<at::Tensor>& inputs);
  void adopt_outputs();
  void note_writes();
  void check_inputs() const;
  void launch();

  std::string name_;
  std::shared_ptr<CudaPoolState> pool_;
  std::vector<Input> inputs_;  // of a DTensor: one for each local
  std::optional<CudaGraph> graph_;
  std::vector<at::Tensor> outputs_;  // without a share in their memory
  std::vector<const void*> written_;
  AddressLedger ledger_;
  int64_t epoch_ = 0;  // of the last replay, or of capture
  ReplayWitness witness_;
};

}  // namespace samebits
