#include "harness/report/table.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "harness/base/text.h"
#include "harness/report/markdown.h"

namespace samebits {
namespace {

std::string formatted(const char* format, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, value);
  return buffer;
}

std::string padded(const std::string& text, size_t width, bool to_the_right) {
  const std::string space(width - std::min(width, display_width(text)), ' ');
  return to_the_right ? space + text : text + space;
}

std::string without_trailing_space(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

constexpr size_t kLongestCell = 400;

std::string console_cell(const std::string& text) { return shortened(text, kLongestCell); }

std::string markdown_cell(const std::string& text, Table::Cells cells) {
  if (cells == Table::Cells::kText) return markdown_text(console_cell(text));
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c == '\n' ? ' ' : c;
  }
  return cell;
}

}  // namespace

size_t display_width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string Table::console() const {
  std::vector<size_t> widths;
  for (const Column& column : columns) widths.push_back(display_width(column.title));
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], display_width(console_cell(row[i])));
  }
  const auto line = [&](auto&& cell_at) {
    std::string text;
    for (size_t i = 0; i < columns.size(); ++i) {
      if (i > 0) text += "  ";
      text += padded(cell_at(i), widths[i], columns[i].is_number);
    }
    return without_trailing_space(std::move(text)) + "\n";
  };
  std::string text = line([&](size_t i) { return columns[i].title; });
  text += line([&](size_t i) { return std::string(widths[i], '-'); });
  for (const auto& row : rows) text += line([&](size_t i) { return console_cell(row[i]); });
  return text;
}

std::string Table::markdown(Cells cells) const {
  std::string text = "|";
  for (const Column& column : columns) text += " " + markdown_cell(column.title, cells) + " |";
  text += "\n|";
  for (const Column& column : columns) text += column.is_number ? "---:|" : "---|";
  text += '\n';
  for (const auto& row : rows) {
    text += '|';
    for (const std::string& cell : row) text += " " + markdown_cell(cell, cells) + " |";
    text += '\n';
  }
  return text;
}

std::string seconds_text(double seconds) {
  return formatted(seconds < 10 ? "%.2f s" : seconds < 1000 ? "%.1f s" : "%.0f s", seconds);
}

std::string time_text(double seconds) {
  if (seconds >= 1) return seconds_text(seconds);
  return formatted(seconds < 0.1 ? "%.2f ms" : "%.1f ms", 1000 * seconds);
}

std::string bytes_text(int64_t bytes) {
  const double mebibytes = static_cast<double>(bytes) / (1 << 20);
  return formatted(mebibytes < 10 ? "%.1f MiB" : "%.0f MiB", mebibytes);
}

std::string percent_text(double share) { return formatted("%.0f %%", 100 * share); }

std::string count_text(int64_t count) {
  const auto number = static_cast<double>(count);
  if (count < 1000) return std::to_string(count);
  if (count < 1'000'000) return formatted("%.1f K", number / 1e3);
  return count < 1'000'000'000 ? formatted("%.1f M", number / 1e6)
                               : formatted("%.2f G", number / 1e9);
}

}  // namespace samebits
