#include "harness/logs/npy.h"

#include <charconv>
#include <cstring>
#include <map>
#include <optional>

#include "harness/base/error.h"
#include "harness/base/pattern.h"

namespace samebits {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kVersion = 6;  // where the two bytes of the version stand
constexpr size_t kLength = 8;   // where the length of the header stands

const std::map<std::string_view, Dtype>& dtypes() {
  static const std::map<std::string_view, Dtype> known = {
      {"|b1", Dtype::bool_},   {"|u1", Dtype::uint8},   {"|i1", Dtype::int8},
      {"<i2", Dtype::int16},   {"<i4", Dtype::int32},   {"<i8", Dtype::int64},
      {"<f2", Dtype::float16}, {"<f4", Dtype::float32}, {"<f8", Dtype::float64}};
  return known;
}

// The header and where the elements begin.
std::string_view header_of(std::string_view bytes, const std::string& where, size_t& data) {
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(bytes[at]); };
  if (!bytes.starts_with(kMagic) || bytes.size() < kLength + 4 || byte(kVersion) < 1 ||
      byte(kVersion) > 3) {
    throw InputError(where, "no header of .npy", "one of version 1 to 3");
  }
  const size_t word = byte(kVersion) == 1 ? 2 : 4;
  uint64_t length = 0;
  for (size_t i = 0; i < word; ++i) length |= static_cast<uint64_t>(byte(kLength + i)) << (8 * i);
  data = kLength + word + length;
  if (data > bytes.size()) {
    throw InputError(where, "a header of " + std::to_string(length) + " bytes",
                     "at most the " + std::to_string(bytes.size()) + " bytes of the array's file");
  }
  return bytes.substr(kLength + word, length);
}

std::vector<int64_t> shape_of(std::string_view text, const std::string& where) {
  std::vector<int64_t> shape;
  for (size_t at = 0; at < text.size();) {
    int64_t size = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), size);
    if (error != std::errc()) {
      throw InputError(where + ": shape", quoted(text), "sizes below 2^63");
    }
    shape.push_back(size);
    const size_t next = text.find_first_of("0123456789", static_cast<size_t>(end - text.data()));
    if (next == std::string_view::npos) break;
    at = next;
  }
  return shape;
}

// The bytes of an array of this form; InputError where that is no number.
size_t bytes_of(const NpyArray& array, const std::string& where) {
  uint64_t bytes = dtype_size(array.dtype);
  for (const int64_t size : array.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes)) {
      throw InputError(where + ": shape", "more than 2^64 bytes", "those of the file");
    }
  }
  return bytes;
}

// From the first index fastest to the last.
std::vector<std::byte> row_major(std::string_view data, const NpyArray& array) {
  const size_t size = dtype_size(array.dtype);
  std::vector<std::byte> rows(data.size());
  std::vector<int64_t> index(array.shape.size(), 0);  // of the element at `at`
  for (size_t at = 0; at < data.size(); at += size) {
    size_t to = 0;
    for (size_t d = 0; d < index.size(); ++d) {
      to = to * static_cast<size_t>(array.shape[d]) + static_cast<size_t>(index[d]);
    }
    std::memcpy(rows.data() + to * size, data.data() + at, size);
    for (size_t d = 0; d < index.size() && ++index[d] == array.shape[d]; ++d) index[d] = 0;
  }
  return rows;
}

}  // namespace

NpyArray read_npy(std::string_view bytes, const std::string& where) {
  size_t begin = 0;
  const std::string_view header = header_of(bytes, where, begin);
  static const Pattern form(
      R"(^\{'descr': '(?<descr>[^']*)', 'fortran_order': (?<fortran>True|False), )"
      R"('shape': \((?<shape>(?:\d+(?:, ?)?)*)\),? ?\}\s*$)",
      "a header of .npy");
  Pattern::Groups groups;
  if (!form.first_match(header, groups)) {
    throw InputError(where, "the header " + quoted(header),
                     "a dict of descr, fortran_order and shape");
  }
  const auto group = [&](std::string_view name) {
    size_t i = 0;
    while (form.names()[i] != name) ++i;
    return groups[i];
  };
  const auto dtype = dtypes().find(group("descr"));
  if (dtype == dtypes().end()) {
    throw InputError(where, "elements of dtype " + quoted(group("descr")),
                     "|b1, |u1, |i1, <i2, <i4, <i8, <f2, <f4 or <f8");
  }
  NpyArray array{dtype->second, shape_of(group("shape"), where), {}};
  const std::string_view data = bytes.substr(begin);
  const size_t wanted = bytes_of(array, where);
  if (data.size() != wanted) {
    throw InputError(where, std::to_string(data.size()) + " bytes of elements",
                     std::to_string(wanted) + ", as its shape has it");
  }
  if (group("fortran") == "True" && array.shape.size() > 1) {
    array.data = row_major(data, array);
  } else {
    const auto* first = reinterpret_cast<const std::byte*>(data.data());
    array.data.assign(first, first + data.size());
  }
  return array;
}

}  // namespace samebits
