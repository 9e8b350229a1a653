#pragma once

#include <string>
#include <string_view>

namespace samebits {

// A file of the checkout, for its cases and oracle data: source_path("cases/models/tiny").
std::string source_path(std::string_view file);

}  // namespace samebits
