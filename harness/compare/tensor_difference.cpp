#include "harness/compare/tensor_difference.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>

#include "harness/bits/ulp.h"
#include "harness/compare/rearrangement.h"
#include "harness/compare/relation.h"
#include "harness/observe/observation.h"

namespace samebits {
namespace {

constexpr size_t kStripCells = 40;
constexpr ptrdiff_t kMostDistances = 5;

std::string value_text(Dtype dtype, uint64_t bits) {
  return scalar_text(observe_tensor(0, "", 0, "", dtype, {}, &bits));
}

std::vector<int64_t> index_of(int64_t i, const std::vector<int64_t>& shape) {
  std::vector<int64_t> index(shape.size());
  for (size_t dim = shape.size(); dim-- > 0; i /= shape[dim]) index[dim] = i % shape[dim];
  return index;
}

TensorDifference::Element element_at(const TensorView& a, const TensorView& b, int64_t i) {
  const uint64_t a_bits = bits_at(a, i);
  const uint64_t b_bits = bits_at(b, i);
  TensorDifference::Element element{index_of(i, a.shape), value_text(a.dtype, a_bits),
                                    value_text(b.dtype, b_bits), std::nullopt};
  if (is_floating_point(a.dtype)) element.ulp = ulp_distance(a.dtype, a_bits, b_bits);
  return element;
}

std::string index_text(const std::vector<int64_t>& index) {
  std::string text = "[";
  for (size_t dim = 0; dim < index.size(); ++dim) {
    text += (dim > 0 ? "," : "") + std::to_string(index[dim]);
  }
  return text + "]";
}

std::string element_text(const TensorDifference::Element& element) {
  std::string text = index_text(element.index) + ": " + element.a + " against " + element.b;
  if (element.ulp) text += ", " + ulp_text(*element.ulp);
  return text;
}

// Of more than kMostDistances the nearest and the farthest.
std::string distances_text(const std::vector<int64_t>& by_distance) {
  std::vector<std::string> texts;
  for (size_t k = 0; k < by_distance.size(); ++k) {
    if (by_distance[k] == 0) continue;
    const uint64_t from = uint64_t{1} << k;
    std::string text = std::to_string(from);
    if (k > 0) text += " to " + std::to_string(2 * from - 1);
    texts.push_back(text + " ULP: " + std::to_string(by_distance[k]));
  }
  if (std::ssize(texts) > kMostDistances) {
    texts[kMostDistances - 2] = "...";
    texts.erase(texts.begin() + kMostDistances - 1, texts.end() - 1);
  }
  std::string joined;
  for (const std::string& text : texts) joined += (joined.empty() ? "" : ", ") + text;
  return joined;
}

// A cell for each index, or for several: "." where none differs, otherwise the tenths of its
// elements that do, rounded up to at least 1 and at most 9.
std::string strip_of(const std::vector<int64_t>& counts, int64_t elements_of_index) {
  const size_t cells = std::min(counts.size(), kStripCells);
  std::string strip;
  for (size_t cell = 0; cell < cells; ++cell) {
    const size_t begin = cell * counts.size() / cells;
    const size_t end = (cell + 1) * counts.size() / cells;
    int64_t different = 0;
    for (size_t i = begin; i < end; ++i) different += counts[i];
    const int64_t elements = static_cast<int64_t>(end - begin) * elements_of_index;
    const int64_t tenths = std::clamp<int64_t>(10 * different / elements, 1, 9);
    strip += different == 0 ? "." : std::to_string(tenths);
  }
  return strip;
}

std::string where_text(const std::vector<int64_t>& counts, int64_t elements_of_index) {
  const auto has_any = [](int64_t count) { return count > 0; };
  const auto touched = std::count_if(counts.begin(), counts.end(), has_any);
  const auto first = std::find_if(counts.begin(), counts.end(), has_any) - counts.begin();
  const auto last =
      std::find_if(counts.rbegin(), counts.rend(), has_any).base() - counts.begin() - 1;
  return std::to_string(touched) + " of " + std::to_string(counts.size()) + " indices, from " +
         std::to_string(first) + " to " + std::to_string(last) + "  " +
         strip_of(counts, elements_of_index);
}

}  // namespace

uint64_t bits_at(const TensorView& tensor, int64_t i) {
  const size_t size = dtype_size(tensor.dtype);
  uint64_t bits = 0;
  std::memcpy(&bits, tensor.data.data() + static_cast<size_t>(i) * size, size);
  return bits;
}

std::vector<std::pair<std::string, std::string>> TensorDifference::facts() const {
  std::vector<std::pair<std::string, std::string>> facts;
  std::string count = std::to_string(different) + " of " + std::to_string(elements) + " differ";
  if (nonfinite_a > 0 || nonfinite_b > 0) {
    count += "; " + std::to_string(nonfinite_a) + " and " + std::to_string(nonfinite_b) +
             " are NaN or infinite";
  }
  facts.emplace_back("elements", count);
  if (first) facts.emplace_back("first", element_text(*first));
  if (!moved.empty()) {  // how far elements are from what stands in their place says nothing then
    facts.emplace_back("moved", moved);
  } else {
    if (largest && largest->index != first->index) {
      facts.emplace_back("largest", element_text(*largest));
    }
    const std::string distances = distances_text(by_distance);
    if (!distances.empty()) facts.emplace_back("by ULP", distances);
  }
  for (size_t dim = 0; dim < by_index.size() && different > 0; ++dim) {
    if (shape[dim] < 2) continue;
    facts.emplace_back("dim " + std::to_string(dim),
                       where_text(by_index[dim], elements / shape[dim]));
  }
  return facts;
}

std::string TensorDifference::brief() const {
  std::string text = std::to_string(different) + " of " + std::to_string(elements) + " differ";
  if (first) text += ", first " + element_text(*first);
  if (!moved.empty()) return text + "; " + moved;
  if (largest && largest->index != first->index) text += ", largest " + element_text(*largest);
  return text;
}

TensorDifference difference_of(const TensorView& a, const TensorView& b) {
  if (a.dtype != b.dtype || a.shape != b.shape) {
    throw std::invalid_argument("tensors of unequal dtype or shape have no elements to compare");
  }
  TensorDifference found;
  found.shape = a.shape;
  found.elements = 1;
  for (const int64_t size : a.shape) {
    found.elements *= size;
    found.by_index.emplace_back(static_cast<size_t>(size), 0);
  }
  found.nonfinite_a = count_nonfinite(a.dtype, a.data.data(), found.elements);
  found.nonfinite_b = count_nonfinite(b.dtype, b.data.data(), found.elements);
  const bool has_distance = is_floating_point(a.dtype);
  std::optional<int64_t> first;
  std::optional<int64_t> largest;
  uint64_t largest_ulp = 0;
  for (int64_t i = 0; i < found.elements; ++i) {
    const uint64_t a_bits = bits_at(a, i);
    const uint64_t b_bits = bits_at(b, i);
    if (a_bits == b_bits) continue;
    ++found.different;
    if (!first) first = i;
    const std::vector<int64_t> index = index_of(i, a.shape);
    for (size_t dim = 0; dim < index.size(); ++dim) {
      ++found.by_index[dim][static_cast<size_t>(index[dim])];
    }
    if (!has_distance) continue;
    const uint64_t ulp = ulp_distance(a.dtype, a_bits, b_bits);
    if (ulp > 0 && ulp != kUlpNan) {
      const auto k = static_cast<size_t>(std::bit_width(ulp) - 1);
      if (found.by_distance.size() <= k) found.by_distance.resize(k + 1);
      ++found.by_distance[k];
    }
    if (!largest || ulp > largest_ulp) {
      largest = i;
      largest_ulp = ulp;
    }
  }
  if (first) found.first = element_at(a, b, *first);
  if (largest) found.largest = element_at(a, b, *largest);
  found.moved = rearrangement_text(a, b);
  return found;
}

}  // namespace samebits
