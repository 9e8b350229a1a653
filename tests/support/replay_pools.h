#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "harness/graph/cuda_pool.h"
#include "harness/graph/emulated_pool.h"
#include "harness/graph/static_graph.h"
#include "harness/kernels/device.h"
#include "tests/support/message_of.h"

// Tests of what every pool of graphs does, CUDA graphs and their emulation alike.
namespace samebits::testing {

struct PoolKind {
  const char* name;
  c10::DeviceType device;
  std::shared_ptr<ReplayPool> (*make)();
};

inline void PrintTo(const PoolKind& kind, std::ostream* out) { *out << kind.name; }

inline const PoolKind kPoolKinds[] = {
    {"emulated", c10::DeviceType::CPU,
     []() -> std::shared_ptr<ReplayPool> {
       return std::make_shared<EmulatedPool>(std::make_shared<Arena>(size_t{1} << 28));
     }},
    {"cuda", c10::DeviceType::CUDA, make_cuda_pool}};

class ReplayPoolTest : public ::testing::TestWithParam<PoolKind> {
 protected:
  void SetUp() override {
    const std::string reason = is_emulated() ? "" : why_no_cuda();
    if (!reason.empty()) GTEST_SKIP() << reason;
    pool_ = new_pool();
  }

  bool is_emulated() const { return GetParam().device == c10::DeviceType::CPU; }
  std::shared_ptr<ReplayPool> new_pool() const { return GetParam().make(); }

  at::Tensor on_device(const at::Tensor& x) const { return x.to(GetParam().device); }
  std::vector<at::Tensor> on_device(std::vector<at::Tensor> tensors) const {
    for (at::Tensor& tensor : tensors) tensor = on_device(tensor);
    return tensors;
  }

  std::shared_ptr<ReplayPool> pool_;
};

inline std::string name_of_kind(const ::testing::TestParamInfo<PoolKind>& info) {
  return info.param.name;
}

#define SAMEBITS_FOR_ALL_POOLS(suite)                                              \
  INSTANTIATE_TEST_SUITE_P(Pools, suite, ::testing::ValuesIn(testing::kPoolKinds), \
                           testing::name_of_kind)

// Copies of what a graph's outputs hold.
inline std::vector<at::Tensor> outputs_of(ReplayGraph& graph) {
  std::vector<at::Tensor> outputs;
  for (size_t i = 0; i < graph.outputs(); ++i) outputs.push_back(graph.output(i).clone().cpu());
  throw_device_fault();
  return outputs;
}

inline std::vector<at::Tensor> replay_with(StaticGraph& graph,
                                           const std::vector<at::Tensor>& values) {
  graph.copy_inputs(values);
  graph.replay();
  return outputs_of(graph.graph());
}

}  // namespace samebits::testing
