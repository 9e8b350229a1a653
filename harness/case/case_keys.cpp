#include "harness/case/case_keys.h"

#include "harness/case/fields.h"

namespace samebits {

const std::vector<std::string>& case_only_keys() {
  static const std::vector<std::string> keys{"$schema", "name", "golden", "arms", "relations"};
  return keys;
}

const std::vector<std::string>& case_keys() {
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> all = case_only_keys();
    for (const fields::Field& field : fields::fields_of<CaseArm>()) {
      if (!(field.traits & fields::kArmOnly)) all.push_back(field.key);
    }
    return all;
  }();
  return keys;
}

const std::vector<std::string>& arm_keys() {
  static const std::vector<std::string> keys = fields::keys_of<CaseArm>();
  return keys;
}

const std::vector<std::string>& program_keys() {
  static const std::vector<std::string> keys = [] {
    fields::FieldCollector collector;
    ProgramSettings program;
    fields::visit_program(collector, program);
    std::vector<std::string> all = {"seed", "steps", "timeout_s", "nonfinite", "on_policy", "keep"};
    for (const std::string& key : collector.keys()) all.push_back(key);
    return all;
  }();
  return keys;
}

const std::vector<std::string>& reserved_arm_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all = case_keys();
    all.insert(all.end(), {"generator", "trainer"});
    return all;
  }();
  return names;
}

}  // namespace samebits
