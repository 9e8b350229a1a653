#pragma once

#include <initializer_list>
#include <optional>
#include <string>

#include "harness/base/json.h"

namespace samebits {

// The keys of a config.json, or of an object in it, each with the default that an absent one has.
// Every member throws InputError that names the file and the key.
class ConfigKeys {
 public:
  // `object` must outlive the keys.
  explicit ConfigKeys(const JsonReader& object) : object_(object) {}

  // nullopt if the key is absent; null counts as absent for the first, and as a value for all others.
  std::optional<JsonReader> find(const char* key) const;
  std::optional<JsonReader> find_or_null(const char* key) const { return object_.optional(key); }

  // From `min` to `max`; products of two stay inside 64 bits.
  int64_t integer(const char* key, int64_t min, int64_t absent,
                  int64_t max = int64_t{1} << 31) const;
  double positive_number(const char* key, double absent) const;
  bool boolean(const char* key, bool absent) const;

  // Refuses the key unless it is one of `accepted`.
  void only(const char* key, std::initializer_list<Json> accepted, bool may_be_absent = true) const;

  [[noreturn]] void fail(const std::string& key, const std::string& found,
                         const std::string& expected) const;

 private:
  const JsonReader& object_;
};

// A token's id; nullopt for -1, which older writers put for "none".
std::optional<int64_t> token_id_of(const JsonReader& value, int64_t vocab_size);

}  // namespace samebits
