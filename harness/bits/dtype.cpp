#include "harness/bits/dtype.h"

#include <array>

namespace samebits {
namespace {

struct DtypeRow {
  std::string_view name;
  std::string_view safetensors_name;
  size_t size;
};

// Indexed by the number of the Dtype.
constexpr std::array<DtypeRow, 10> kRows = {{
    {"bool", "BOOL", 1},
    {"uint8", "U8", 1},
    {"int8", "I8", 1},
    {"int16", "I16", 2},
    {"int32", "I32", 4},
    {"int64", "I64", 8},
    {"float16", "F16", 2},
    {"bfloat16", "BF16", 2},
    {"float32", "F32", 4},
    {"float64", "F64", 8},
}};

const DtypeRow& row_of(Dtype dtype) { return kRows.at(static_cast<size_t>(dtype)); }

std::optional<Dtype> find(std::string_view DtypeRow::*column, std::string_view value) {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].*column == value) return static_cast<Dtype>(i);
  }
  return std::nullopt;
}

}  // namespace

size_t dtype_size(Dtype dtype) { return row_of(dtype).size; }
std::string_view dtype_name(Dtype dtype) { return row_of(dtype).name; }
std::string_view dtype_safetensors_name(Dtype dtype) { return row_of(dtype).safetensors_name; }
std::optional<Dtype> dtype_from_name(std::string_view name) { return find(&DtypeRow::name, name); }
std::optional<Dtype> dtype_from_safetensors_name(std::string_view name) {
  return find(&DtypeRow::safetensors_name, name);
}

bool is_floating_point(Dtype dtype) {
  return dtype == Dtype::float16 || dtype == Dtype::bfloat16 || dtype == Dtype::float32 ||
         dtype == Dtype::float64;
}

}  // namespace samebits
