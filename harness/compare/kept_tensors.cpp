#include "harness/compare/kept_tensors.h"

#include <algorithm>
#include <stdexcept>

#include "harness/observe/run_files.h"

namespace samebits {
namespace {

uint64_t distance_at(const TensorView& a, const TensorView& b, int64_t i) {
  const uint64_t a_bits = bits_at(a, i);
  const uint64_t b_bits = bits_at(b, i);
  if (a_bits == b_bits) return 0;
  if (!is_floating_point(a.dtype)) return 1;
  return std::max<uint64_t>(ulp_distance(a.dtype, a_bits, b_bits), 1);
}

std::string metadata_of(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? "" : found->second;
}

}  // namespace

DistanceMap distance_map(const TensorView& a, const TensorView& b) {
  if (a.dtype != b.dtype || a.shape != b.shape) {
    throw std::invalid_argument("tensors of unequal dtype or shape have no elements to compare");
  }
  DistanceMap map;
  map.rows = 1;
  map.columns = a.shape.empty() ? 1 : a.shape.back();
  for (size_t dim = 0; dim + 1 < a.shape.size(); ++dim) map.rows *= a.shape[dim];
  const auto rows = static_cast<size_t>(map.rows);
  const auto columns = static_cast<size_t>(map.columns);
  map.height = std::min(rows, DistanceMap::kLongestSide);
  map.width = std::min(columns, DistanceMap::kLongestSide);
  map.farthest.resize(map.height * map.width);
  for (size_t row = 0; row < rows; ++row) {
    uint64_t* cells = &map.farthest[row * map.height / rows * map.width];
    for (size_t column = 0; column < columns; ++column) {
      uint64_t& cell = cells[column * map.width / columns];
      cell = std::max(cell, distance_at(a, b, static_cast<int64_t>(row * columns + column)));
    }
  }
  return map;
}

std::optional<KeptTensors> read_kept_tensors(const std::filesystem::path& closer_folder) {
  const std::filesystem::path path = closer_folder / run_files::kDifference;
  if (!std::filesystem::exists(path)) return std::nullopt;
  const SafetensorsFile file(path.string());
  const TensorView& a = file.at("a");
  const TensorView& b = file.at("b");
  if (a.dtype != b.dtype || a.shape != b.shape) return std::nullopt;
  return KeptTensors{metadata_of(file, "a"), metadata_of(file, "b"), metadata_of(file, "place"),
                     difference_of(a, b), distance_map(a, b)};
}

}  // namespace samebits
