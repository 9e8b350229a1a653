#include "harness/run/cause_text.h"

#include <fmt/format.h>

#include "harness/compare/verdict.h"

namespace samebits {

std::string input_text(const Computation& computation, const Computation::Input& input) {
  const std::string& site = computation.values[input.value].site;
  return site.empty() ? input.name : input.name + " (" + site + ")";
}

std::vector<std::string> folded(const std::vector<std::string>& names) {
  std::vector<std::string> list;
  for (size_t i = 0; i < names.size();) {
    size_t end = i;
    while (end < names.size() && names[end] == names[i]) ++end;
    const std::string times = std::to_string(end - i);
    list.push_back(end - i == 1 ? names[i] : names[i] + " (" + times + " of them)");
    i = end;
  }
  return list;
}

std::string cut_list_text(const std::vector<std::string>& names) {
  constexpr size_t kMost = 8;
  std::vector<std::string> list = folded(names);
  if (list.size() <= kMost) return list_text(list);
  const size_t more = list.size() - kMost;
  list.resize(kMost);
  return list_text(list) + fmt::format(", and {} more", more);
}

std::string origin_text(const Computation::Value& value, int64_t step) {
  if (value.site.ends_with(".weight")) {
    return step == 0 ? value.site + ", as the run began with it"
                     : value.site + ", as the step before left it";
  }
  if (!value.site.empty()) return value.site;
  return "which came in from outside: no operator of this step made it";
}

}  // namespace samebits
