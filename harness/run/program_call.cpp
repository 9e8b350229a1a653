#include "harness/run/program_call.h"

#include <functional>
#include <vector>

namespace samebits {
namespace {

void replace_all(std::string& text, const std::string& word, const std::string& value) {
  for (size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += value.size()) {
    text.replace(at, word.size(), value);
  }
}

ProgramCall call_with(const CaseArm& arm, const std::vector<std::string>& command,
                      const std::filesystem::path& cwd, const std::filesystem::path& output,
                      const std::function<void(std::string&)>& replace_words) {
  const auto with_values = [&](std::string text) {
    replace_words(text);
    replace_all(text, ProgramSettings::kCheckout, arm.program.checkout.string());
    return text;
  };
  ProgramCall call;
  for (const std::string& each : command) call.command.push_back(with_values(each));
  for (const auto& [name, value] : arm.program.env) call.env.emplace_back(name, with_values(value));
  call.cwd = cwd;
  call.output = output;
  call.timeout_s = arm.timeout_s;
  return call;
}

}  // namespace

ProgramCall call_of(const CaseArm& arm, const ProgramTold& told) {
  return call_with(arm, arm.program.command, arm.program.working_folder(), told.output,
                   [&](std::string& text) {
                     replace_all(text, ProgramSettings::kOut, told.out.string());
                     replace_all(text, ProgramSettings::kLevel, to_string(told.level));
                     replace_all(text, ProgramSettings::kSteps, std::to_string(arm.steps));
                     replace_all(text, ProgramSettings::kSeed, std::to_string(arm.seed));
                     replace_all(text, ProgramSettings::kKeep, told.keep);
                     replace_all(text, ProgramSettings::kKeepBytes, std::to_string(arm.keep.bytes));
                   });
}

ProgramCall build_call_of(const CaseArm& arm, const std::filesystem::path& output) {
  return call_with(arm, arm.program.build, arm.program.checkout, output, [](std::string&) {});
}

}  // namespace samebits
