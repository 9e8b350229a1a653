#include "harness/case/program_settings.h"

#include <algorithm>

#include "harness/base/nearest.h"

namespace samebits {

bool ProgramSettings::is_told(const std::string& word) const {
  const auto has_word = [&](const std::string& text) {
    return text.find(word) != std::string::npos;
  };
  return std::any_of(command.begin(), command.end(), has_word) ||
         std::any_of(env.begin(), env.end(),
                     [&](const auto& variable) { return has_word(variable.second); });
}

std::vector<std::string> ProgramSettings::words() {
  return {kOut, kLevel, kSteps, kSeed, kKeep, kKeepBytes, kCheckout};
}

std::string ProgramSettings::misspelt_word(const std::string& text) {
  if (text.find_first_of(" \t\n\"'") != std::string::npos) return "";
  std::vector<std::string> known;  // without their braces
  for (const std::string& each : words()) known.push_back(each.substr(1, each.size() - 2));
  for (size_t at = text.find('{'); at != std::string::npos; at = text.find('{', at + 1)) {
    const size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at + 1);
    const bool is_in_braces = end != std::string::npos && text[end] == '}';
    if (!is_in_braces || (at > 0 && text[at - 1] == '$')) continue;
    const std::string word = text.substr(at + 1, end - at - 1);
    const auto near = nearest_word(word, known);
    if (near && *near != word) return "{" + word + "}";
  }
  return "";
}

}  // namespace samebits
