#pragma once

#include <string>
#include <string_view>

namespace samebits {

// InputError where a log is no UTF-8 as programs write it: UTF-16, a byte order mark, a NUL.
void check_encoding(std::string_view text, const std::string& file);

// The lines of a text from the first on, without their ends ("\n" or "\r\n").
class LineCursor {
 public:
  explicit LineCursor(std::string_view text) : text_(text) {}
  bool next(std::string_view& line);
  size_t number() const { return number_; }  // of the line that next() gave last, from 1
  bool has_end() const { return has_end_; }  // whether that line ended; the last one may not

 private:
  std::string_view text_;
  size_t begin_ = 0;
  size_t number_ = 0;
  bool has_end_ = true;
};

}  // namespace samebits
