#include "harness/model/config_keys.h"

#include <algorithm>

#include "harness/base/error.h"

namespace samebits {

std::optional<JsonReader> ConfigKeys::find(const char* key) const {
  auto value = object_.optional(key);
  if (value && value->value().is_null()) return std::nullopt;
  return value;
}

int64_t ConfigKeys::integer(const char* key, int64_t min, int64_t absent, int64_t max) const {
  const auto value = object_.optional(key);
  return value ? value->integer(min, max) : absent;
}

double ConfigKeys::positive_number(const char* key, double absent) const {
  const auto value = object_.optional(key);
  return value ? value->number_above(0) : absent;
}

bool ConfigKeys::boolean(const char* key, bool absent) const {
  const auto value = object_.optional(key);
  return value ? value->boolean() : absent;
}

void ConfigKeys::only(const char* key, std::initializer_list<Json> accepted,
                      bool may_be_absent) const {
  const auto value = object_.optional(key);
  if (!value && may_be_absent) return;
  if (value && std::find(accepted.begin(), accepted.end(), value->value()) != accepted.end()) {
    return;
  }
  std::string expected;
  for (const Json& each : accepted) expected += (expected.empty() ? "" : " or ") + each.dump();
  fail(key, value ? value->shown() : "nothing", expected);
}

void ConfigKeys::fail(const std::string& key, const std::string& found,
                      const std::string& expected) const {
  throw InputError(object_.where() + (object_.path().empty() ? ": " : ".") + key, found, expected);
}

std::optional<int64_t> token_id_of(const JsonReader& value, int64_t vocab_size) {
  const int64_t id = value.integer(-1, vocab_size - 1);
  return id < 0 ? std::nullopt : std::optional(id);
}

}  // namespace samebits
