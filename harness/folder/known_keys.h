#pragma once

#include <initializer_list>
#include <string_view>

#include "harness/base/json.h"
#include "harness/folder/without_effect.h"

namespace samebits {

// Whether a row holds of this value.
bool is_without_effect(const WithoutEffect& row, const Json& value);

// Asserts an object of which every key is `used` by its reader, or stands without effect in the
// list of without_effect.h under one of `objects`. Throws InputError that names the key.
void check_keys(const JsonReader& object, std::initializer_list<std::string_view> objects,
                std::initializer_list<std::string_view> used);

}  // namespace samebits
