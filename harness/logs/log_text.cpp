#include "harness/logs/log_text.h"

#include "harness/base/error.h"

namespace samebits {

void check_encoding(std::string_view text, const std::string& file) {
  const auto fail = [&](size_t at, const std::string& found) {
    throw InputError(file + ": byte " + std::to_string(at), found, "UTF-8 without a mark");
  };
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) fail(0, "UTF-16");
  if (text.starts_with("\xef\xbb\xbf")) fail(0, "a byte order mark");
  // Of UTF-16 without a mark every second byte; of a crash of the machine a whole block.
  if (const size_t at = text.find('\0'); at != std::string_view::npos) fail(at, "a NUL");
}

bool LineCursor::next(std::string_view& line) {
  if (begin_ >= text_.size()) return false;
  const size_t end = text_.find('\n', begin_);
  has_end_ = end != std::string_view::npos;
  line = text_.substr(begin_, has_end_ ? end - begin_ : std::string_view::npos);
  begin_ = has_end_ ? end + 1 : text_.size();
  if (line.ends_with('\r')) line.remove_suffix(1);
  ++number_;
  return true;
}

}  // namespace samebits
