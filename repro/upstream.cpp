#include "repro/upstream.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstdio>

#include "harness/core/error.h"
#include "harness/core/json.h"

namespace samebits {
namespace {

std::string quoted_for_shell(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

struct Ended {
  int code;
  std::string last_line;
};

// Runs a command; its output and its complaints are one stream.
Ended run_command(const std::string& command) {
  // NOLINTNEXTLINE(bugprone-command-processor): its words are quoted by the caller
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw RunError("cannot start " + command);
  std::string line;
  std::string last;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
    if (c != '\n') {
      line += static_cast<char>(c);
    } else if (!line.empty()) {
      last = std::exchange(line, {});
    }
  }
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, line.empty() ? last : line};
}

}  // namespace

const std::vector<std::string>& upstream_states() {
  static const std::vector<std::string> states{"live", "fixed", "changed", "not applicable"};
  return states;
}

UpstreamState ask_upstream(const std::filesystem::path& script, const std::string& python) {
  const std::string interpreter = quoted_for_shell(python);
  const Ended torch = run_command(interpreter + " -c 'import torch'");
  if (torch.code != 0) {
    throw InputError("--python " + python, "\"" + torch.last_line + "\"",
                     "a Python interpreter that can import torch");
  }
  const Ended asked = run_command(interpreter + " " + quoted_for_shell(script.string()));
  if (asked.code != 0) {
    throw InputError(script.string(),
                     "exit code " + std::to_string(asked.code) + ": \"" + asked.last_line + "\"",
                     "exit code 0");
  }
  const Json json = parse_json_line(asked.last_line, script.string());
  const JsonReader reader(json, script.string());
  reader.object({"torch", "state", "evidence"});
  const std::string state = reader.required("state").string();
  const auto& states = upstream_states();
  if (std::find(states.begin(), states.end(), state) == states.end()) {
    reader.required("state").fail(quoted(state), JsonReader::one_of_text(states, state));
  }
  return {reader.required("torch").string(), state, reader.required("evidence").string()};
}

}  // namespace samebits
