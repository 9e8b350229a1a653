#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace samebits {

// A table of text, written as aligned columns or as Markdown. Cells become one line each, printable
// (base/text.h), and long ones are cut in the middle.
struct Table {
  struct Column {
    std::string title;
    bool is_number = false;  // aligned to the right
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // as many cells as columns

  std::string console() const;  // two spaces between columns, a rule under the titles

  // GitHub's. Cells are text from anywhere, or Markdown of our own in which `|` alone is escaped.
  enum class Cells { kText, kMarkdown };
  std::string markdown(Cells cells = Cells::kText) const;
};

// Columns that a terminal needs for a UTF-8 text: its code points.
size_t display_width(const std::string& text);

// Digits for people: "12.3 s", "45 MiB".
std::string seconds_text(double seconds);
std::string time_text(double seconds);  // as fine as it is short: "12.3 ms", "4.25 s"
std::string bytes_text(int64_t bytes);
std::string percent_text(double share);
std::string count_text(int64_t count);  // "996.5 K", "596.0 M"

}  // namespace samebits
