#include <bit>
#include <cstring>
#include <vector>

#include "harness/base/error.h"
#include "harness/logs/crc32c.h"
#include "harness/logs/readers.h"
#include "harness/logs/wire.h"

// TensorBoard's event file: records of TFRecord (the length, its checksum, an Event, its checksum),
// little-endian. Of an Event the step (field 2) and the summary (5) count; of a value of a summary
// the tag (1) and the number, either simple_value (2, float32) or a tensor (8) without dimensions.
// Source: tensorflow/core/util/event.proto, framework/summary.proto, tensor.proto.
namespace samebits {
namespace {

constexpr size_t kHead = 12;  // the length and its checksum
constexpr size_t kSum = 4;

template <class Word>
Word word_at(std::string_view bytes, size_t at) {
  Word word;
  std::memcpy(&word, bytes.data() + at, sizeof word);
  return word;
}

// The number of a scalar tensor; nullopt for other shapes and dtypes.
std::optional<float> float_of_tensor(WireReader tensor, const std::string& where) {
  constexpr uint64_t kFloat = 1;  // DT_FLOAT
  uint64_t dtype = 0;
  bool has_dimensions = false;
  std::optional<float> value;
  const auto take = [&](std::string_view bytes) {
    if (bytes.size() == sizeof(float)) value = word_at<float>(bytes, 0);
  };
  for (WireReader::Field field; tensor.next(field);) {
    if (field.number == 1) dtype = field.value;
    if (field.number == 2) {
      WireReader shape(field.bytes, where, field.offset);
      for (WireReader::Field size; shape.next(size);) has_dimensions |= size.number == 2;
    }
    if (field.number == 4) take(field.bytes);  // tensor_content
    if (field.number == 5) {                   // float_val, packed or not
      if (field.kind == WireKind::kBytes) {
        take(field.bytes);
      } else {
        tensor.require(field, WireKind::kFixed32);
        value = std::bit_cast<float>(static_cast<uint32_t>(field.value));
      }
    }
  }
  return dtype == kFloat && !has_dimensions ? value : std::nullopt;
}

void read_value(WireReader value, int64_t step, size_t record, const std::string& file,
                LogBuilder& log) {
  std::string_view tag;
  std::optional<float> number;
  for (WireReader::Field field; value.next(field);) {
    if (field.number == 1) {
      value.require(field, WireKind::kBytes);
      tag = field.bytes;
    }
    if (field.number == 2) {
      value.require(field, WireKind::kFixed32);
      number = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    }
    if (field.number == 8) {
      value.require(field, WireKind::kBytes);
      number = float_of_tensor(WireReader(field.bytes, file, field.offset), file);
    }
  }
  const size_t site = log.site(tag, record);
  number ? log.add_float32(step, site, *number, record) : log.add_text(site, record);
}

void read_event(std::string_view event, size_t offset, size_t record, const std::string& file,
                LogBuilder& log) {
  int64_t step = 0;                          // proto3 leaves a zero out
  std::vector<WireReader::Field> summaries;  // protobuf takes several for one
  WireReader fields(event, file, offset);
  for (WireReader::Field field; fields.next(field);) {
    if (field.number == 2) {
      fields.require(field, WireKind::kVarint);
      step = static_cast<int64_t>(field.value);
    }
    if (field.number == 5) {
      fields.require(field, WireKind::kBytes);
      summaries.push_back(field);
    }
  }
  if (summaries.empty()) return;
  if (step < 0) {
    throw InputError(log.where(record), "step " + std::to_string(step), "a step from 0");
  }
  for (const WireReader::Field& summary : summaries) {
    WireReader values(summary.bytes, file, summary.offset);
    for (WireReader::Field field; values.next(field);) {
      if (field.number != 1) continue;
      values.require(field, WireKind::kBytes);
      read_value(WireReader(field.bytes, file, field.offset), step, record, file, log);
    }
  }
}

}  // namespace

bool is_event_file(std::string_view begin) {
  return begin.size() >= kHead && word_at<uint32_t>(begin, 8) == masked_crc32c(begin.substr(0, 8));
}

Log read_tensorboard(const LogInput& input) {
  LogBuilder log(input.file, input.settings, "byte");
  const std::string_view bytes = input.bytes;
  for (size_t at = 0; at < bytes.size();) {
    const size_t left = bytes.size() - at;
    const bool has_head = left >= kHead;
    if (has_head && !is_event_file(bytes.substr(at))) {
      throw InputError(log.where(at), "a length whose checksum is wrong", "a record of events");
    }
    const uint64_t size = has_head ? word_at<uint64_t>(bytes, at) : 0;
    if (!has_head || left - kHead < kSum || size > left - kHead - kSum) {
      throw InputError(log.where(at), "the end of the file in a record", "a whole one (cut off?)");
    }
    const std::string_view event = bytes.substr(at + kHead, size);
    if (word_at<uint32_t>(bytes, at + kHead + size) != masked_crc32c(event)) {
      throw InputError(log.where(at), "a record whose checksum is wrong", "the one of its bytes");
    }
    read_event(event, at + kHead, at, input.file, log);
    at += kHead + size + kSum;
  }
  return log.finish("tensorboard");
}

}  // namespace samebits
