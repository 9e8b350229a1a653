#pragma once

#include <string>
#include <string_view>

namespace samebits {

// A printable line (base/text.h) as HTML and XML write it, as content and in double quotes alike.
std::string markup_escaped(std::string_view line);

}  // namespace samebits
