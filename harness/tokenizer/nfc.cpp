#include "harness/tokenizer/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "harness/tokenizer/utf8.h"

namespace samebits {
namespace {

// No code point below U+0300 is changed by NFC, nor combined by one that follows if that is below
// U+0300 too.
bool is_nfc_at_a_glance(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0xcc; });
}

int combining_class(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

// The canonical decomposition, before reordering.
std::vector<utf8proc_int32_t> decompose(std::string_view text) {
  std::vector<utf8proc_int32_t> decomposed;
  decomposed.reserve(text.size());
  utf8proc_int32_t buffer[32];  // the longest decomposition of one code point is far shorter
  int boundary = 0;
  size_t offset = 0;
  while (offset < text.size()) {
    const auto code_point = static_cast<utf8proc_int32_t>(next_code_point(text, offset));
    const utf8proc_ssize_t size =
        utf8proc_decompose_char(code_point, buffer, std::size(buffer),
                                static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE), &boundary);
    if (size < 0 || size > static_cast<utf8proc_ssize_t>(std::size(buffer))) {
      throw std::logic_error(std::string("nfc: ") + utf8proc_errmsg(size));
    }
    decomposed.insert(decomposed.end(), buffer, buffer + size);
  }
  return decomposed;
}

// Sorts each run of combining marks by class. utf8proc's own pass is quadratic in a run's length.
void reorder(std::vector<utf8proc_int32_t>& code_points) {
  const auto is_starter = [](utf8proc_int32_t c) { return combining_class(c) == 0; };
  auto begin = code_points.begin();
  while (begin != code_points.end()) {
    begin = std::find_if_not(begin, code_points.end(), is_starter);
    const auto end = std::find_if(begin, code_points.end(), is_starter);
    std::stable_sort(begin, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    begin = end;
  }
}

}  // namespace

std::string nfc(std::string_view text) {
  if (is_nfc_at_a_glance(text)) return std::string(text);
  std::vector<utf8proc_int32_t> code_points = decompose(text);
  reorder(code_points);
  const utf8proc_ssize_t size = utf8proc_normalize_utf32(
      code_points.data(), static_cast<utf8proc_ssize_t>(code_points.size()),
      static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  std::string composed;
  composed.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < size; ++i) append_utf8(composed, code_points[i]);
  return composed;
}

}  // namespace samebits
