#include "harness/graph/copy_box.h"

#include <algorithm>
#include <cstring>

namespace samebits {
namespace {

void copy_box(char* to, at::IntArrayRef to_sizes, const char* from, at::IntArrayRef from_sizes,
              size_t element) {
  if (to_sizes.empty() || to_sizes.slice(1) == from_sizes.slice(1)) {
    std::memcpy(to, from, c10::multiply_integers(from_sizes) * element);
    return;
  }
  const size_t to_bytes = c10::multiply_integers(to_sizes.slice(1)) * element;
  const size_t from_bytes = c10::multiply_integers(from_sizes.slice(1)) * element;
  for (int64_t i = 0; i < from_sizes[0]; ++i) {
    copy_box(to + i * to_bytes, to_sizes.slice(1), from + i * from_bytes, from_sizes.slice(1),
             element);
  }
}

}  // namespace

void copy_box(void* to, at::IntArrayRef sizes, const at::Tensor& from) {
  const at::Tensor dense = from.contiguous();
  copy_box(static_cast<char*>(to), sizes, static_cast<const char*>(dense.const_data_ptr()),
           dense.sizes(), dense.element_size());
}

void fill_values(void* to, at::ScalarType dtype, int64_t count, int64_t value) {
  if (dtype == at::kLong) {
    std::fill_n(static_cast<int64_t*>(to), count, value);
  } else if (dtype == at::kFloat) {
    std::fill_n(static_cast<float*>(to), count, static_cast<float>(value));
  } else {
    std::fill_n(static_cast<int32_t*>(to), count, static_cast<int32_t>(value));
  }
}

}  // namespace samebits
