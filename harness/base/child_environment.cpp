#include "harness/base/child_environment.h"

#include <unistd.h>

#include <algorithm>

namespace samebits {

std::vector<std::string> environment_with(
    const std::vector<std::pair<std::string, std::string>>& own) {
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const std::string name = text.substr(0, text.find('='));
    const bool is_own =
        std::any_of(own.begin(), own.end(), [&](const auto& each) { return each.first == name; });
    if (!is_own) variables.push_back(text);
  }
  for (const auto& [name, value] : own) variables.push_back(name + "=" + value);
  return variables;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace samebits
