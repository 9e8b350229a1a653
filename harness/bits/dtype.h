#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace samebits {

// The element types that samebits observes, saves and loads. The numbers enter every digest, so a
// number is never reused or changed; a new type takes the next one.
enum class Dtype : uint8_t {
  bool_ = 0,
  uint8 = 1,
  int8 = 2,
  int16 = 3,
  int32 = 4,
  int64 = 5,
  float16 = 6,
  bfloat16 = 7,
  float32 = 8,
  float64 = 9,
};

// Bytes of one element.
size_t dtype_size(Dtype dtype);

// torch's name: "bfloat16", "bool".
std::string_view dtype_name(Dtype dtype);

// The safetensors format's name: "BF16", "BOOL".
std::string_view dtype_safetensors_name(Dtype dtype);

// The inverses; nullopt for a name that is none of ours.
std::optional<Dtype> dtype_from_name(std::string_view name);
std::optional<Dtype> dtype_from_safetensors_name(std::string_view name);

// True for float16, bfloat16, float32 and float64.
bool is_floating_point(Dtype dtype);

}  // namespace samebits
