#include "harness/case/program_settings.h"

#include <algorithm>

namespace samebits {

bool ProgramSettings::is_told(const std::string& word) const {
  const auto has_word = [&](const std::string& text) {
    return text.find(word) != std::string::npos;
  };
  return std::any_of(command.begin(), command.end(), has_word) ||
         std::any_of(env.begin(), env.end(),
                     [&](const auto& variable) { return has_word(variable.second); });
}

}  // namespace samebits
