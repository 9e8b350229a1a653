#include "harness/case/setting_differences.h"

#include <algorithm>
#include <string>

#include "harness/base/json.h"

namespace samebits {

std::vector<JsonDifference> setting_differences(const CaseArm& a, const CaseArm& b) {
  const std::vector<std::string> left_out = {"steps",   "timeout_s", "checkpoint_every",
                                             "repeats", "on_policy", "keep"};
  std::vector<JsonDifference> found =
      differences(Json::parse(a.canonical), Json::parse(b.canonical));
  std::erase_if(found, [&](const JsonDifference& each) {
    const std::string top = each.key.substr(0, each.key.find('.'));
    return std::find(left_out.begin(), left_out.end(), top) != left_out.end();
  });
  return found;
}

}  // namespace samebits
