#include "harness/report/markup.h"

namespace samebits {

std::string markup_escaped(std::string_view line) {
  std::string escaped;
  for (const char c : line) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace samebits
