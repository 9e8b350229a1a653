#include "harness/dispatch/operator_traits.h"

#include <c10/util/Exception.h>

#include <map>

namespace samebits {
namespace {

// Filled while static registrars run, read-only after.
std::map<std::string, OperatorTraits>& all_traits() {
  static std::map<std::string, OperatorTraits> instance;
  return instance;
}

}  // namespace

void register_traits(const std::string& op, const OperatorTraits& traits) {
  const bool added = all_traits().emplace(op, traits).second;
  TORCH_INTERNAL_ASSERT(added, "traits of ", op, " are registered twice");
}

bool has_traits(const std::string& op) { return all_traits().count(op) != 0; }

OperatorTraits traits_of(const std::string& op) {
  const auto found = all_traits().find(op);
  return found == all_traits().end() ? OperatorTraits{} : found->second;
}

std::vector<std::string> attention_operators() {
  std::vector<std::string> names;
  for (const auto& [name, traits] : all_traits()) {
    if (traits.is_attention) names.push_back(name);
  }
  return names;
}

}  // namespace samebits
