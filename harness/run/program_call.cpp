#include "harness/run/program_call.h"

namespace samebits {
namespace {

void replace_all(std::string& text, const std::string& word, const std::string& value) {
  for (size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += value.size()) {
    text.replace(at, word.size(), value);
  }
}

}  // namespace

ProgramCall call_of(const CaseArm& arm, const ProgramTold& told) {
  const auto with_values = [&](std::string text) {
    replace_all(text, ProgramSettings::kOut, told.out.string());
    replace_all(text, ProgramSettings::kLevel, told.level == Level::kOp ? "op" : "step");
    replace_all(text, ProgramSettings::kSteps, std::to_string(arm.steps));
    replace_all(text, ProgramSettings::kSeed, std::to_string(arm.seed));
    replace_all(text, ProgramSettings::kKeep, told.keep);
    return text;
  };
  ProgramCall call;
  for (const std::string& each : arm.program.command) call.command.push_back(with_values(each));
  for (const auto& [name, value] : arm.program.env) call.env.emplace_back(name, with_values(value));
  call.cwd = arm.program.cwd;
  call.output = told.output;
  call.timeout_s = arm.timeout_s;
  return call;
}

}  // namespace samebits
