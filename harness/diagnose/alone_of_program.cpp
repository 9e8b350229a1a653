#include "harness/diagnose/alone_of_program.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "harness/run/program_call.h"
#include "harness/run/program_run.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

constexpr char kScript[] = "upstream.py";
constexpr char kInputs[] = "inputs.safetensors";

// Where the words of a recorder's own end, at the "--" before the program; none of another command.
std::optional<size_t> end_of_recorder(const std::vector<std::string>& command) {
  const auto module = std::find(command.begin(), command.end(), "samebits_record");
  if (module == command.begin() || module == command.end() || *(module - 1) != "-m") return {};
  const auto program = std::find(module, command.end(), "--");
  if (program == command.end()) return {};
  return program - command.begin();
}

// An operator's output, "model.norm/aten.mean.dim[0]#0", and no value of a module.
bool is_of_operator(const std::string& site) {
  const size_t slash = site.rfind('/');
  return slash != std::string::npos && site.find('[', slash) != std::string::npos;
}

// What the program printed last; "" where it was not asked.
std::string asked(const CaseArm& arm, const std::string& place, const fs::path& folder) {
  const std::optional<size_t> end = end_of_recorder(arm.program.command);
  if (!end || arm.program.is_of_commit()) return "";
  const fs::path out = fs::absolute(folder / "alone");
  const fs::path output = fs::absolute(folder / "alone.txt");
  ProgramCall call = call_of(arm, {out, Level::kOp, "", output});
  call.command.insert(call.command.begin() + static_cast<std::ptrdiff_t>(*end), {"--alone", place});
  const ProgramEnd ended = run_program(call, [] {});
  std::string text = last_lines(output);
  if (!ended.is_good()) text = ended.text() + (text.empty() ? "" : "; " + text);
  for (const char* file : {kScript, kInputs}) {
    if (fs::exists(out / file)) fs::rename(out / file, folder / file);
  }
  fs::remove_all(out);
  fs::remove(output);
  const std::string there = out.string() + "/";  // as the recorder names its files
  for (size_t at; (at = text.find(there)) != std::string::npos;) text.erase(at, there.size());
  return arm.name + ": " + text;
}

}  // namespace

AloneOfProgram alone_of_programs(const CaseArm& a, const CaseArm& b, const ObservationPlace& place,
                                 const fs::path& folder) {
  AloneOfProgram found;
  const std::string text =
      fmt::format("{} {} {} {}", place.step, place.occurrence, place.phase, place.site);
  if (!is_of_operator(place.site)) {
    found.text = "not looked for: " + place.site + " is no output of an operator";
    return found;
  }
  for (const CaseArm* arm : {&a, &b}) {
    const std::string said = asked(*arm, text, folder);
    if (!said.empty()) found.text += (found.text.empty() ? "" : "; ") + said;
    found.has_script = fs::exists(folder / kScript);
    if (found.has_script) return found;
  }
  if (found.text.empty()) {
    found.text =
        "no arm's command starts the recorder: python -m samebits_record --out DIR --level "
        "op --alone \"" +
        text + "\" -- PROGRAM looks for the operator";
  }
  return found;
}

}  // namespace samebits
