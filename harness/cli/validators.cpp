#include "harness/cli/validators.h"

#include <charconv>

namespace samebits {

CLI::Validator whole_number(int64_t least) {
  const auto check = [least](const std::string& text) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_whole = error == std::errc() && end == text.data() + text.size();
    if (is_whole && std::to_string(value) == text && value >= least) return std::string();
    return "found \"" + text + "\", expected a whole number of at least " + std::to_string(least);
  };
  return CLI::Validator(check, "INT of at least " + std::to_string(least));
}

CLI::Validator not_empty() {
  const auto check = [](const std::string& text) {
    return text.empty() ? "found nothing, expected a text" : std::string();
  };
  return CLI::Validator(check, "");
}

std::filesystem::path folder_of(const std::string& typed) {
  const std::filesystem::path folder = std::filesystem::path(typed).lexically_normal();
  return folder.has_filename() ? folder : folder.parent_path();
}

}  // namespace samebits
