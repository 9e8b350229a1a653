#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/bits/dtype.h"

namespace samebits {

// An array of NumPy.
struct NpyArray {
  Dtype dtype = Dtype::float32;
  std::vector<int64_t> shape;
  std::vector<std::byte> data;  // row-major, whatever the order in the file
};

// Reads a file of the format .npy, versions 1 to 3 (numpy.lib.format): a magic word, the length of
// a header, the header, which is a dict as Python writes it, and the elements. Throws InputError
// that names `where` for anything else, for big-endian elements and for dtypes that are not ours.
NpyArray read_npy(std::string_view bytes, const std::string& where);

}  // namespace samebits
