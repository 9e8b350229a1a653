#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/mapped_file.h"
#include "harness/bits/dtype.h"

namespace samebits {

// The format: 8 bytes little-endian header length, a JSON header that names each tensor's dtype,
// shape and byte range, then the data, gapless. Source: huggingface/safetensors, README "Format".

// One tensor of an open file or one to be written; it does not own the bytes.
struct TensorView {
  std::string name;
  Dtype dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;  // row-major; not necessarily aligned to the element
};

// A safetensors file, mapped into memory and checked as a whole when it is opened.
class SafetensorsFile {
 public:
  // Throws InputError for whatever the format forbids: it names the file, the tensor or byte
  // offset, what was found and what was expected.
  explicit SafetensorsFile(const std::string& path);

  // The same checks on bytes in memory; `where` stands for the file's name in messages, and `bytes`
  // must outlive the object.
  SafetensorsFile(std::span<const std::byte> bytes, const std::string& where);

  const std::string& path() const { return path_; }

  // In the order of their data. The views are valid as long as this object.
  const std::vector<TensorView>& tensors() const { return tensors_; }

  // The header's `__metadata__`; empty if it has none.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // nullptr if there is no tensor of that name.
  const TensorView* find(std::string_view name) const;

  // Throws InputError, with the nearest name there is, if there is no tensor of that name.
  const TensorView& at(std::string_view name) const;

 private:
  void parse(std::span<const std::byte> bytes);

  std::string path_;
  MappedFile file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t, std::less<>> index_by_name_;
  std::map<std::string, std::string> metadata_;
};

// Writes `tensors` through AtomicFile. Equal arguments give equal bytes: larger elements come first
// (so that every tensor is aligned), then names in byte order; the header is padded to 8 bytes.
// Throws RunError if the file cannot be written, std::invalid_argument if two tensors share a name
// or a view's size is not that of its shape.
void write_safetensors(const std::string& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace samebits
