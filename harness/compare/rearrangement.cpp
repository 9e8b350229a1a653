#include "harness/compare/rearrangement.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

namespace samebits {
namespace {

constexpr size_t kMostElements = size_t{1} << 24;
constexpr size_t kMostRuns = 4;  // that are told one by one

// A dimension as every tensor has it: `outer` blocks of `size` indices of `inner` bytes each.
struct Axis {
  size_t outer;
  size_t size;
  size_t inner;
};

Axis axis_of(const TensorView& tensor, size_t dim) {
  const auto count = [&](size_t begin, size_t end) {
    return std::accumulate(
        tensor.shape.begin() + static_cast<ptrdiff_t>(begin),
        tensor.shape.begin() + static_cast<ptrdiff_t>(end), size_t{1},
        [](size_t product, int64_t n) { return product * static_cast<size_t>(n); });
  };
  return {count(0, dim), static_cast<size_t>(tensor.shape[dim]),
          count(dim + 1, tensor.shape.size()) * dtype_size(tensor.dtype)};
}

// All bytes of one index of a dimension.
std::string slice_of(const TensorView& tensor, const Axis& axis, size_t index) {
  std::string slice;
  slice.reserve(axis.outer * axis.inner);
  const auto* data = reinterpret_cast<const char*>(tensor.data.data());
  for (size_t block = 0; block < axis.outer; ++block) {
    slice.append(data + (block * axis.size + index) * axis.inner, axis.inner);
  }
  return slice;
}

// The index of `a` that each index of `b` is, along one dimension; empty where one is none of them.
// Among equal ones an index stays where it is, and the others follow in their order.
std::vector<size_t> places_of(const TensorView& a, const TensorView& b, const Axis& axis) {
  std::map<std::string, std::deque<size_t>> moved;
  std::vector<std::pair<size_t, std::string>> sought;  // an index of `b`, and its bytes
  std::vector<size_t> places(axis.size);
  for (size_t i = 0; i < axis.size; ++i) {
    std::string of_a = slice_of(a, axis, i);
    std::string of_b = slice_of(b, axis, i);
    places[i] = i;
    if (of_a == of_b) continue;
    moved[std::move(of_a)].push_back(i);
    sought.emplace_back(i, std::move(of_b));
  }
  for (const auto& [i, slice] : sought) {
    const auto found = moved.find(slice);
    if (found == moved.end() || found->second.empty()) return {};
    places[i] = found->second.front();
    found->second.pop_front();
  }
  return places;
}

struct Run {
  size_t to;
  size_t from;
  size_t size;
};

std::string range_text(size_t first, size_t size) {
  const std::string text = std::to_string(first);
  return size == 1 ? text : text + " to " + std::to_string(first + size - 1);
}

std::string places_text(const std::vector<size_t>& places) {
  std::vector<Run> runs;
  for (size_t i = 0; i < places.size(); ++i) {
    if (places[i] == i) continue;
    const bool goes_on = !runs.empty() && runs.back().to + runs.back().size == i &&
                         runs.back().from + runs.back().size == places[i];
    if (goes_on) {
      ++runs.back().size;
    } else {
      runs.push_back({i, places[i], 1});
    }
  }
  std::string text;
  for (size_t i = 0; i < std::min(runs.size(), kMostRuns); ++i) {
    const Run& run = runs[i];
    text += range_text(run.to, run.size);
    text += i > 0 ? " its " : run.size == 1 ? " is the first's " : " are the first's ";
    text += range_text(run.from, run.size);
    if (i + 1 < std::min(runs.size(), kMostRuns)) text += ", ";
  }
  return runs.size() <= kMostRuns ? text : text + ", and so on";
}

bool is_transposed(const TensorView& a, const TensorView& b, size_t first, size_t second) {
  if (a.shape[first] != a.shape[second]) return false;
  std::vector<size_t> strides(a.shape.size(), dtype_size(a.dtype));
  for (size_t dim = a.shape.size() - 1; dim-- > 0;) {
    strides[dim] = strides[dim + 1] * static_cast<size_t>(a.shape[dim + 1]);
  }
  const size_t size = dtype_size(a.dtype);
  for (size_t at = 0; at < a.data.size(); at += size) {
    const size_t i = at / strides[first] % static_cast<size_t>(a.shape[first]);
    const size_t j = at / strides[second] % static_cast<size_t>(a.shape[second]);
    const size_t other =
        at - i * strides[first] - j * strides[second] + j * strides[first] + i * strides[second];
    if (std::memcmp(a.data.data() + other, b.data.data() + at, size) != 0) return false;
  }
  return true;
}

}  // namespace

std::string rearrangement_text(const TensorView& a, const TensorView& b) {
  if (a.dtype != b.dtype || a.shape != b.shape) {
    throw std::invalid_argument("tensors of unequal dtype or shape have no elements in common");
  }
  const size_t bytes = a.data.size();
  if (bytes == 0 || bytes / dtype_size(a.dtype) > kMostElements) return "";
  if (std::memcmp(a.data.data(), b.data.data(), bytes) == 0) return "";
  for (size_t dim = 0; dim < a.shape.size(); ++dim) {
    const std::vector<size_t> places = places_of(a, b, axis_of(a, dim));
    if (!places.empty()) return "dim " + std::to_string(dim) + ": " + places_text(places);
  }
  for (size_t second = 1; second < a.shape.size(); ++second) {
    for (size_t first = 0; first < second; ++first) {
      if (!is_transposed(a, b, first, second)) continue;
      return "dims " + std::to_string(first) + " and " + std::to_string(second) + " are transposed";
    }
  }
  return "";
}

}  // namespace samebits
