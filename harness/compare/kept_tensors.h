#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/bits/safetensors.h"
#include "harness/bits/ulp.h"
#include "harness/compare/tensor_difference.h"

namespace samebits {

// Where two tensors of one dtype and shape differ, as a picture whose size does not grow with
// theirs: the last dimension runs to the right, all others downwards, and a cell stands for one
// element or for a block of them.
struct DistanceMap {
  int64_t rows = 0;  // of the tensor
  int64_t columns = 0;
  size_t height = 0;  // cells, at most kLongestSide
  size_t width = 0;
  // [height * width]: ULP between the elements of the cell that are farthest apart; 0 where all
  // bits are equal, kNan where a NaN meets a number. Zeros of unlike sign and integers that
  // differ count as 1.
  std::vector<uint64_t> farthest;

  static constexpr size_t kLongestSide = 128;
  static constexpr uint64_t kNan = kUlpNan;
};

// Throws std::invalid_argument where dtype or shape differ.
DistanceMap distance_map(const TensorView& a, const TensorView& b);

// The two tensors that a closer look left of the place where arms first differ.
struct KeptTensors {
  std::string a;  // arms
  std::string b;
  std::string place;  // "step 0, rollout, layers.0.attention_norm#0"
  TensorDifference difference;
  DistanceMap map;
};

// From a closer look's folder (observe/run_files.h); nullopt where it kept none, or two of unlike
// dtype or shape, which have no elements to compare. InputError where the file is broken.
std::optional<KeptTensors> read_kept_tensors(const std::filesystem::path& closer_folder);

}  // namespace samebits
