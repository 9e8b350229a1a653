#pragma once

#include <string>
#include <string_view>

namespace samebits {

// Unicode Normalization Form C of a well-formed UTF-8 text, by the tables of utf8proc. Linear in
// the text but for runs of combining marks, which are sorted.
std::string nfc(std::string_view text);

}  // namespace samebits
