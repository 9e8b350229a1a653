#include "harness/observe/observation.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/json.h"

namespace samebits {
namespace {

constexpr int64_t kMaxRank = 1 << 20;

double double_from_float16(uint64_t bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const auto fraction = static_cast<double>(bits & 1023);
  const double sign = bits >> 15 & 1 ? -1 : 1;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : std::copysign(NAN, sign);
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

float float_from_bits(uint64_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits)); }

int64_t sign_extended(uint64_t bits, size_t size) {
  const int shift = 64 - 8 * static_cast<int>(size);
  return static_cast<int64_t>(bits << shift) >> shift;
}

// float32's shortest digits for the types that float32 holds exactly.
std::string text_from_bits(Dtype dtype, uint64_t bits) {
  switch (dtype) {
    case Dtype::float64:
      return shortest_text(std::bit_cast<double>(bits));
    case Dtype::float32:
      return shortest_text(float_from_bits(bits));
    case Dtype::bfloat16:
      return shortest_text(float_from_bits(bits << 16));
    case Dtype::float16:
      return shortest_text(static_cast<float>(double_from_float16(bits)));
    case Dtype::bool_:
    case Dtype::uint8:
      return std::to_string(bits);
    case Dtype::int8:
    case Dtype::int16:
    case Dtype::int32:
    case Dtype::int64:
      return std::to_string(sign_extended(bits, dtype_size(dtype)));
  }
  return "";
}

std::string hex_from_bits(Dtype dtype, uint64_t bits) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex(2 * dtype_size(dtype), '0');
  for (size_t i = hex.size(); i-- > 0; bits >>= 4) hex[i] = kDigits[bits & 15];
  return hex;
}

uint64_t bits_from_hex(const JsonReader& json, Dtype dtype) {
  const std::string hex = json.string();
  const size_t digits = 2 * dtype_size(dtype);
  uint64_t bits = 0;
  bool is_hex = hex.size() == digits;
  for (const char c : hex) {
    const bool is_digit = c >= '0' && c <= '9';
    is_hex = is_hex && (is_digit || (c >= 'a' && c <= 'f'));
    bits = bits << 4 | static_cast<uint64_t>(is_digit ? c - '0' : c - 'a' + 10);
  }
  if (!is_hex) json.fail(json.shown(), std::to_string(digits) + " lower-case hex digits");
  return bits;
}

bool is_finite_text(const std::string& text) {
  return text != "nan" && text != "inf" && text != "-inf";
}

// A value that is not the one of the bits means that somebody edited the line.
void check_value(const JsonReader& json, const Observation& observation) {
  const std::string expected = scalar_text(observation);
  bool is_same;
  if (!is_finite_text(expected)) {
    is_same = json.string() == expected;
  } else if (observation.dtype == Dtype::float64 || !is_floating_point(observation.dtype)) {
    is_same = json.number() == scalar_value(observation);
  } else {
    is_same = static_cast<float>(json.number()) == static_cast<float>(scalar_value(observation));
  }
  if (!is_same) json.fail(json.shown(), expected + ", which is what the bits say");
}

// Counts the elements whose exponent bits, `mask`, are all set.
template <class Word>
int64_t count_full_exponents(const void* data, int64_t count, Word mask) {
  int64_t found = 0;
  const auto* bytes = static_cast<const std::byte*>(data);
  for (int64_t i = 0; i < count; ++i) {
    Word word;
    std::memcpy(&word, bytes + i * static_cast<int64_t>(sizeof(Word)), sizeof(Word));
    found += (word & mask) == mask;
  }
  return found;
}

Digest digest_of_scalar(Dtype dtype, uint64_t bits) {
  static_assert(std::endian::native == std::endian::little);
  return digest_of(dtype, {}, &bits);
}

}  // namespace

Observation observe_tensor(int64_t step, std::string phase, int64_t rank, std::string site,
                           Dtype dtype, std::vector<int64_t> shape, const void* data) {
  Observation observation{.step = step,
                          .phase = std::move(phase),
                          .site = std::move(site),
                          .rank = static_cast<int32_t>(rank),
                          .dtype = dtype,
                          .shape = std::move(shape)};
  observation.digest = digest_of(dtype, observation.shape, data);
  if (observation.shape.empty()) {
    uint64_t bits = 0;
    std::memcpy(&bits, data, dtype_size(dtype));
    observation.bits = bits;
  }
  if (!observation.bits) {
    int64_t count = 1;
    for (const int64_t size : observation.shape) count *= size;
    observation.nonfinite = count_nonfinite(dtype, data, count);
  }
  return observation;
}

int64_t count_nonfinite(Dtype dtype, const void* data, int64_t count) {
  switch (dtype) {
    case Dtype::float64:
      return count_full_exponents<uint64_t>(data, count, 0x7ff0'0000'0000'0000);
    case Dtype::float32:
      return count_full_exponents<uint32_t>(data, count, 0x7f80'0000);
    case Dtype::bfloat16:
      return count_full_exponents<uint16_t>(data, count, 0x7f80);
    case Dtype::float16:
      return count_full_exponents<uint16_t>(data, count, 0x7c00);
    default:
      return 0;
  }
}

bool has_nonfinite(const Observation& observation) {
  return observation.nonfinite > 0 ||
         (observation.bits && !std::isfinite(scalar_value(observation)));
}

Observation observe_float32(int64_t step, std::string phase, int64_t rank, std::string site,
                            float value) {
  return observe_tensor(step, std::move(phase), rank, std::move(site), Dtype::float32, {}, &value);
}

Observation observe_int64(int64_t step, std::string phase, int64_t rank, std::string site,
                          int64_t value) {
  return observe_tensor(step, std::move(phase), rank, std::move(site), Dtype::int64, {}, &value);
}

double value_of(Dtype dtype, uint64_t bits) {
  switch (dtype) {
    case Dtype::float64:
      return std::bit_cast<double>(bits);
    case Dtype::float32:
      return float_from_bits(bits);
    case Dtype::bfloat16:
      return float_from_bits(bits << 16);
    case Dtype::float16:
      return double_from_float16(bits);
    case Dtype::bool_:
    case Dtype::uint8:
      return static_cast<double>(bits);
    default:
      return static_cast<double>(sign_extended(bits, dtype_size(dtype)));
  }
}

double scalar_value(const Observation& observation) {
  return observation.bits ? value_of(observation.dtype, *observation.bits) : NAN;
}

std::string scalar_text(const Observation& observation) {
  return observation.bits ? text_from_bits(observation.dtype, *observation.bits) : "";
}

int64_t occurrence_of(const std::vector<Observation>& observations, size_t index) {
  const Observation& at = observations[index];
  return std::count_if(observations.begin(),
                       observations.begin() + static_cast<std::ptrdiff_t>(index),
                       [&](const Observation& each) {
                         return each.step == at.step && each.phase == at.phase &&
                                each.rank == at.rank && each.site == at.site;
                       });
}

std::string line_from_observation(const Observation& observation) {
  const auto string = [](const std::string& text) { return Json(text).dump(); };
  std::string line = "{\"step\":" + std::to_string(observation.step);
  line += ",\"phase\":" + string(observation.phase);
  line += ",\"rank\":" + std::to_string(observation.rank);
  line += ",\"site\":" + string(observation.site);
  line += ",\"dtype\":\"" + std::string(dtype_name(observation.dtype)) + "\",\"shape\":[";
  for (size_t i = 0; i < observation.shape.size(); ++i) {
    if (i > 0) line += ',';
    line += std::to_string(observation.shape[i]);
  }
  line += "],\"digest\":\"" + observation.digest.hex() + "\"";
  if (observation.bits) {
    const std::string text = scalar_text(observation);
    line += ",\"bits\":\"" + hex_from_bits(observation.dtype, *observation.bits) + "\",\"value\":";
    line += is_finite_text(text) ? text : quoted(text);
  }
  if (observation.nonfinite > 0) line += ",\"nonfinite\":" + std::to_string(observation.nonfinite);
  for (size_t i = 0; i < observation.apart.size(); ++i) {
    line += (i == 0 ? ",\"apart\":[" : ",") + std::to_string(observation.apart[i]);
  }
  if (!observation.apart.empty()) line += ']';
  line += '}';
  return line;
}

Observation observation_from_line(std::string_view line, const std::string& where) {
  const Json parsed = parse_json_line(line, where);
  // What JSON lets pass around an object is no part of a stream: its bytes are evidence.
  if (!line.starts_with('{') || !line.ends_with('}')) {
    throw InputError(where, "a byte order mark, a space or a carriage return", "one JSON object");
  }
  const JsonReader json(parsed, where);
  json.object({"step", "phase", "rank", "site", "dtype", "shape", "digest", "bits", "value",
               "nonfinite", "apart"});
  Observation observation;
  observation.step = json.required("step").integer(0);
  observation.phase = json.required("phase").name();
  observation.rank = static_cast<int32_t>(json.required("rank").integer(0, kMaxRank));
  observation.site = json.required("site").name();
  const JsonReader dtype = json.required("dtype");
  const auto known_dtype = dtype_from_name(dtype.string());
  if (!known_dtype) dtype.fail(dtype.shown(), "the name of a dtype, such as \"float32\"");
  observation.dtype = *known_dtype;
  for (const JsonReader& size : json.required("shape").array()) {
    observation.shape.push_back(size.integer(0));
  }
  const JsonReader digest = json.required("digest");
  observation.digest = Digest::from_hex(digest.string(), digest.where());

  if (auto key = json.optional("nonfinite")) observation.nonfinite = key->integer(1);
  if (auto key = json.optional("apart")) {
    for (const JsonReader& rank : key->array(/*min_size=*/1)) {
      const int64_t least = observation.apart.empty() ? 1 : observation.apart.back() + 1;
      observation.apart.push_back(rank.integer(least, kMaxRank));
    }
  }
  const auto bits = json.optional("bits");
  const bool is_scalar = observation.shape.empty();
  if (bits.has_value() != is_scalar || json.optional("value").has_value() != is_scalar) {
    json.fail(is_scalar ? "a scalar without its bits and value" : "bits or a value of a tensor",
              "bits and value with the shape [], and with no other");
  }
  if (is_scalar) {
    observation.bits = bits_from_hex(*bits, observation.dtype);
    check_value(json.required("value"), observation);
    if (digest_of_scalar(observation.dtype, *observation.bits) != observation.digest) {
      digest.fail(observation.digest.hex(), "the digest of the bits " + bits->string());
    }
  }
  return observation;
}

}  // namespace samebits
