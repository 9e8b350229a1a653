#pragma once

#include <string>
#include <string_view>

namespace samebits {

// The text in double quotes, for messages. Control characters, quotes and backslashes are escaped
// as in JSON, so that a message stays one line; bytes beyond ASCII pass as they are. Texts longer
// than 100 bytes are cut, with "..." after the quotes.
//
// An object and not a function: a function of this name would compete with std::quoted, which the
// argument std::string drags in.
struct Quoted {
  std::string operator()(std::string_view text) const;
};
inline constexpr Quoted quoted{};

}  // namespace samebits
