#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "harness/base/pattern.h"
#include "harness/case/case.h"

namespace samebits {

// Keeps the tensors that are observed at sites which match an expression, on the host, for bounds
// to judge their elements. Scalars are not kept, as a stream has their values.
class SiteKeeper {
 public:
  // `where` stands for the arm in messages.
  SiteKeeper(const KeepSettings& settings, std::string where);

  // To be told of every tensor that is observed, in order. Of a DTensor the whole is kept, for
  // which the mesh must be of this process. RunError where the tensors take more than they may.
  void see(int64_t step, const std::string& phase, const std::string& site,
           const at::Tensor& value);

  // Of an observation whose tensor is not to be had, such as one within a replay.
  void pass(int64_t step, const std::string& phase, const std::string& site);

  // Into a file as kept_file.h has it. RunError where nothing was kept.
  void write(const std::filesystem::path& file) const;

 private:
  // How many observations of the place came before; -1 where the site does not match.
  int64_t count(int64_t step, const std::string& phase, const std::string& site);

  KeepSettings settings_;
  std::string where_;
  Pattern pattern_;
  std::map<std::tuple<int64_t, std::string, std::string>, int64_t> seen_;
  std::vector<std::pair<std::string, at::Tensor>> kept_;  // by name, in order
  int64_t bytes_ = 0;
};

}  // namespace samebits
