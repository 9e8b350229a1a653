#pragma once

#include <initializer_list>
#include <string_view>

#include "harness/base/json.h"

namespace samebits {

// Asserts an object of which every key is `used` by its reader, or stands without effect in the
// list of without_effect.h under one of `objects`. Throws InputError that names the key.
void check_keys(const JsonReader& object, std::initializer_list<std::string_view> objects,
                std::initializer_list<std::string_view> used);

}  // namespace samebits
