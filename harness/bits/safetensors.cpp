#include "harness/bits/safetensors.h"

#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>
#include <tuple>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/base/lfs_pointer.h"
#include "harness/base/nearest.h"
#include "harness/base/text.h"

namespace samebits {
namespace {

constexpr uint64_t kLengthBytes = 8;
// The reference implementation's limit; it keeps an absurd length from becoming absurd work.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;

uint64_t load_little_endian(const std::byte* bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | std::to_integer<uint64_t>(bytes[i]);
  return value;
}

std::string count_of_bytes(uint64_t count) { return std::to_string(count) + " bytes"; }

// One entry of the header, still to be placed: `begin` and `end` count from the start of the data.
struct Entry {
  TensorView view;
  uint64_t begin;
  uint64_t end;
};

// The bytes that dtype and shape ask for. Throws InputError if they do not fit 63 bits.
uint64_t bytes_of_shape(Dtype dtype, const std::vector<int64_t>& shape, const std::string& where) {
  // A zero anywhere makes the tensor empty, however large the other sizes are.
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  int64_t bytes = static_cast<int64_t>(dtype_size(dtype));
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) {
      throw InputError(where + ".shape", "sizes whose product overflows 64 bits",
                       "a tensor that fits into memory");
    }
  }
  return static_cast<uint64_t>(bytes);
}

Entry read_entry(const std::string& name, const JsonReader& reader) {
  reader.object({"dtype", "shape", "data_offsets"});
  Entry entry{};
  entry.view.name = name;
  const JsonReader dtype_reader = reader.required("dtype");
  const std::string dtype_text = dtype_reader.string();
  const auto dtype = dtype_from_safetensors_name(dtype_text);
  if (!dtype) {
    dtype_reader.fail(quoted(dtype_text), "BOOL, U8, I8, I16, I32, I64, F16, BF16, F32 or F64");
  }
  entry.view.dtype = *dtype;
  for (const JsonReader& size : reader.required("shape").array()) {
    entry.view.shape.push_back(size.integer(0));
  }
  const JsonReader offsets_reader = reader.required("data_offsets");
  const std::vector<JsonReader> offsets = offsets_reader.array();
  if (offsets.size() != 2) offsets_reader.fail(offsets_reader.shown(), "two offsets");
  entry.begin = static_cast<uint64_t>(offsets[0].integer(0));
  entry.end = static_cast<uint64_t>(offsets[1].integer(0));
  if (entry.end < entry.begin) {
    offsets_reader.fail(offsets_reader.shown(), "an end that is not before the begin");
  }
  const uint64_t expected = bytes_of_shape(entry.view.dtype, entry.view.shape, reader.where());
  if (entry.end - entry.begin != expected) {
    offsets_reader.fail(count_of_bytes(entry.end - entry.begin),
                        count_of_bytes(expected) + " for its dtype and shape");
  }
  return entry;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : path_(path), file_(path) {
  parse(file_.bytes());
}

SafetensorsFile::SafetensorsFile(std::span<const std::byte> bytes, const std::string& where)
    : path_(where) {
  parse(bytes);
}

void SafetensorsFile::parse(std::span<const std::byte> bytes) {
  refuse_lfs_pointer({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path_);
  if (bytes.size() < kLengthBytes) {
    throw InputError(path_, count_of_bytes(bytes.size()), "at least 8 for the header's length");
  }
  const uint64_t header_bytes = load_little_endian(bytes.data());
  if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - kLengthBytes) {
    throw InputError(
        path_ + ": byte 0", "a header of " + count_of_bytes(header_bytes),
        "at most " + std::to_string(std::min(kMaxHeaderBytes, bytes.size() - kLengthBytes)));
  }
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
                                header_bytes);
  if (header.empty() || header[0] != '{') {
    throw InputError(path_ + ": byte 8", quoted(header.substr(0, 1)), "\"{\"");
  }
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + header_bytes);

  const Json json = parse_json(header, path_);
  std::vector<Entry> entries;
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      const JsonReader reader(value, path_, name);
      for (const std::string& key : reader.keys()) metadata_[key] = reader.required(key).string();
      continue;
    }
    entries.push_back(read_entry(name, JsonReader(value, path_, name)));
  }

  // In the order of the data each tensor must begin where the one before it ended, and the last
  // must end with the file: nothing overlaps, and nothing hides between.
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t expected_begin = 0;
  for (Entry& entry : entries) {
    const std::string where = path_ + ": " + entry.view.name + ".data_offsets";
    if (entry.begin != expected_begin) {
      throw InputError(
          where,
          (entry.begin < expected_begin ? "an overlap: begin " : "a gap: begin ") +
              std::to_string(entry.begin),
          "begin " + std::to_string(expected_begin) + ", where the tensor before it ends");
    }
    if (entry.end > data.size()) {
      throw InputError(where, "end " + std::to_string(entry.end),
                       "at most " + std::to_string(data.size()) + ", the data's bytes");
    }
    entry.view.data = data.subspan(entry.begin, entry.end - entry.begin);
    expected_begin = entry.end;
    index_by_name_[entry.view.name] = tensors_.size();
    tensors_.push_back(std::move(entry.view));
  }
  if (expected_begin != data.size()) {
    throw InputError(
        path_ + ": byte " + std::to_string(kLengthBytes + header_bytes + expected_begin),
        count_of_bytes(data.size() - expected_begin) + " that belong to no tensor",
        "the end of the file");
  }
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_by_name_.find(name);
  return found == index_by_name_.end() ? nullptr : &tensors_[found->second];
}

const TensorView& SafetensorsFile::at(std::string_view name) const {
  if (const TensorView* view = find(name)) return *view;
  std::vector<std::string> known;
  for (const auto& [key, index] : index_by_name_) known.push_back(key);
  const auto near = nearest_word(name, known);
  throw InputError(path_, "no tensor " + quoted(name),
                   near ? "it to be there (nearest: " + quoted(*near) + ")" : "it to be there");
}

void write_safetensors(const std::string& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const TensorView*> order;
  for (const TensorView& view : tensors) {
    if (view.data.size() != bytes_of_shape(view.dtype, view.shape, view.name)) {
      throw std::invalid_argument("write_safetensors: " + view.name + " has " +
                                  count_of_bytes(view.data.size()) +
                                  ", not those of its dtype and shape");
    }
    order.push_back(&view);
  }
  std::sort(order.begin(), order.end(), [](const TensorView* a, const TensorView* b) {
    return std::tuple(dtype_size(b->dtype), std::string_view(a->name)) <
           std::tuple(dtype_size(a->dtype), std::string_view(b->name));
  });

  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::set<std::string_view> names;
  uint64_t offset = 0;
  for (const TensorView* view : order) {
    if (!names.insert(view->name).second) {
      throw std::invalid_argument("write_safetensors: two tensors named " + view->name);
    }
    const uint64_t end = offset + view->data.size();
    header[view->name] = {{"dtype", dtype_safetensors_name(view->dtype)},
                          {"shape", view->shape},
                          {"data_offsets", Json::array({offset, end})}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');

  AtomicFile file(path);
  std::array<std::byte, kLengthBytes> length;
  for (size_t i = 0; i < length.size(); ++i) length[i] = std::byte(text.size() >> (8 * i) & 0xff);
  file.write(length);
  file.write(text);
  for (const TensorView* view : order) file.write(view->data);
  file.commit();
}

}  // namespace samebits
