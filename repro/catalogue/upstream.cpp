#include "repro/catalogue/upstream.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "harness/base/error.h"
#include "harness/base/json.h"

namespace samebits {
namespace {

std::string quoted_for_shell(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

constexpr int kSkipped = 77;

struct Ended {
  int code;
  std::string text;  // its output and its complaints, one stream

  // The last one that is not empty.
  std::string last_line() const {
    const size_t end = text.find_last_not_of('\n');
    if (end == std::string::npos) return "";
    const size_t before = text.find_last_of('\n', end);
    const size_t begin = before == std::string::npos ? 0 : before + 1;
    return text.substr(begin, end + 1 - begin);
  }
};

Ended run_command(const std::string& command) {
  // NOLINTNEXTLINE(bugprone-command-processor): its words are quoted by the caller
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw RunError("cannot start " + command);
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text += static_cast<char>(c);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
}

// The interpreter as a word for the shell. InputError where it has no torch.
std::string python_with_torch(const std::string& python) {
  const std::string interpreter = quoted_for_shell(python);
  const Ended torch = run_command(interpreter + " -c 'import torch'");
  if (torch.code != 0) {
    throw InputError("--python " + python, "\"" + torch.last_line() + "\"",
                     "a Python interpreter that can import torch");
  }
  return interpreter;
}

}  // namespace

const std::vector<std::string>& upstream_states() {
  static const std::vector<std::string> states{"live", "fixed", "changed", "not applicable"};
  return states;
}

UpstreamState ask_upstream(const std::filesystem::path& script, const std::string& python) {
  const Ended asked =
      run_command(python_with_torch(python) + " " + quoted_for_shell(script.string()));
  if (asked.code != 0 && asked.code != kSkipped) {
    throw InputError(script.string(),
                     "exit code " + std::to_string(asked.code) + ": \"" + asked.last_line() + "\"",
                     "exit code 0, or 77 where it is not applicable");
  }
  const Json json = parse_json_line(asked.last_line(), script.string());
  const JsonReader reader(json, script.string());
  reader.object({"torch", "state", "evidence"});
  const std::string state = reader.required("state").string();
  const auto& states = upstream_states();
  if (std::find(states.begin(), states.end(), state) == states.end()) {
    reader.required("state").fail(quoted(state), JsonReader::one_of_text(states, state));
  }
  if ((asked.code == kSkipped) != (state == "not applicable")) {
    throw InputError(script.string(),
                     quoted(state) + " and exit code " + std::to_string(asked.code),
                     "exit code 77 with \"not applicable\", 0 with every other state");
  }
  return {reader.required("torch").string(), state, reader.required("evidence").string()};
}

std::string collected_versions(const std::string& python) {
  const Ended said =
      run_command(python_with_torch(python) + " -W ignore -m torch.utils.collect_env");
  if (said.code != 0) {
    throw InputError("--python " + python, "\"" + said.last_line() + "\"",
                     "a torch whose torch.utils.collect_env runs");
  }
  return said.text;
}

}  // namespace samebits
