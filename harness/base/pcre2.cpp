#include "harness/base/pcre2.h"

#include <new>

namespace samebits {
namespace {

PCRE2_SPTR subject_of(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

}  // namespace

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

std::shared_ptr<pcre2_code> compile_pcre2(std::string_view pattern, uint32_t options) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(subject_of(pattern), pattern.size(), options, &error, &offset, nullptr);
  if (code == nullptr) throw Pcre2Refusal(pcre2_message(error), offset);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return {code, pcre2_code_free};
}

std::shared_ptr<pcre2_match_data> make_match_data(const pcre2_code& code) {
  pcre2_match_data* data = pcre2_match_data_create_from_pattern(&code, nullptr);
  if (data == nullptr) throw std::bad_alloc();
  return {data, pcre2_match_data_free};
}

int match_pcre2(const pcre2_code& code, std::string_view text, size_t offset, uint32_t options,
                pcre2_match_data& data) {
  const auto match = [&](uint32_t all) {
    return pcre2_match(&code, subject_of(text), text.size(), offset, all, &data, nullptr);
  };
  const int result = match(options);
  return result == PCRE2_ERROR_JIT_STACKLIMIT ? match(options | PCRE2_NO_JIT) : result;
}

}  // namespace samebits
