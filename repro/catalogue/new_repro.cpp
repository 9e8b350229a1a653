#include "repro/catalogue/new_repro.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/observe/manifest.h"
#include "harness/observe/observation.h"
#include "harness/report/markdown.h"

namespace samebits {
namespace {

// What a run knows of its first divergence.
struct Facts {
  std::string case_name;
  std::string command;
  std::string relation;  // "bit_exact"
  std::string a;         // the arms
  std::string b;
  std::string text;  // "step 3, train, loss: ..."
  int64_t step = 0;
  std::string site;
  std::string value_a;
  std::string value_b;
  std::vector<std::string> settings;   // in what the arms differ, a line each
  std::vector<std::string> operators;  // the sentences of the run
  std::string environment;             // a line each
};

void check_name(const std::string& name) {
  const bool is_name = !name.empty() && (name[0] < '0' || name[0] > '9') &&
                       std::all_of(name.begin(), name.end(), [](char c) {
                         return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
                       });
  if (!is_name)
    throw InputError("repro new", quoted(name),
                     "a name of a-z, 0-9 and _ that begins with no digit");
}

std::string value_text(const JsonReader& divergence, const std::string& side) {
  const JsonReader seen = divergence.required(side);
  if (seen.value().is_null()) return "not seen";
  const Observation observation = observation_from_line(seen.value().dump(), seen.where());
  return observation.bits ? scalar_text(observation) : "digest " + seen.required("digest").string();
}

// "mesh.tp: 1 against 2" for every setting in which two arms differ.
void add_differences(const Json& a, const Json& b, const std::string& path,
                     std::vector<std::string>& lines) {
  for (const auto& [key, value] : a.items()) {
    const std::string where = path.empty() ? key : path + "." + key;
    const Json other = b.contains(key) ? b.at(key) : Json();
    if (value == other) continue;
    if (value.is_object() && other.is_object()) {
      add_differences(value, other, where, lines);
    } else {
      lines.push_back(fmt::format("{}: {} against {}", where, value.dump(), other.dump()));
    }
  }
  for (const auto& [key, value] : b.items()) {
    if (a.contains(key)) continue;
    lines.push_back(
        fmt::format("{}: default against {}", path.empty() ? key : path + "." + key, value.dump()));
  }
}

// The first pair of a failed relation that parted at a value.
std::optional<Facts> first_divergence(const JsonReader& verdicts) {
  for (const JsonReader& verdict : verdicts.array()) {
    const std::string relation = verdict.required("relation").required("holds").string();
    if (verdict.required("holds").boolean() || relation == "must_diverge") continue;
    for (const JsonReader& pair : verdict.required("pairs").array()) {
      const auto divergence = pair.optional("divergence");
      if (pair.required("holds").boolean() || !divergence) continue;
      Facts facts;
      facts.relation = relation;
      facts.a = pair.required("a").string();
      facts.b = pair.required("b").string();
      facts.text = divergence->required("text").string();
      const JsonReader seen =
          divergence->required(divergence->required("a").value().is_null() ? "b" : "a");
      facts.step = seen.required("step").integer(0);
      facts.site = seen.required("site").string();
      facts.value_a = value_text(*divergence, "a");
      facts.value_b = value_text(*divergence, "b");
      return facts;
    }
  }
  return std::nullopt;
}

Facts facts_of(const std::filesystem::path& run_folder) {
  const auto manifest = read_manifest(run_folder);
  if (!manifest) {
    throw InputError(run_folder.string(), "no manifest.json", "the folder of a finished run");
  }
  const std::string file = (run_folder / "manifest.json").string();
  auto facts = first_divergence(JsonReader(manifest->verdicts, file, "verdicts"));
  if (!facts) throw InputError(file, "no divergence", "a run in which a relation failed");
  const JsonReader settings(manifest->settings, file, "case");
  facts->case_name = settings.required("name").string();
  facts->command = manifest->command;
  const JsonReader arms = settings.required("arms");
  add_differences(arms.required(facts->a).value(), arms.required(facts->b).value(), "",
                  facts->settings);
  for (const Manifest::Closer& closer : manifest->closer) {
    if (closer.a == facts->a && closer.b == facts->b) facts->operators.push_back(closer.text);
  }
  for (const auto& [key, value] : manifest->environment) {
    facts->environment += fmt::format("{:<16}  {}\n", key, value);
  }
  return *facts;
}

std::string list_of(const std::vector<std::string>& lines, const std::string& otherwise) {
  if (lines.empty()) return "- " + otherwise + "\n";
  std::string text;
  for (const std::string& line : lines) text += "- " + markdown_text(line) + "\n";
  return text;
}

std::string settings_of(const Facts& facts) {
  return list_of(facts.settings, "nothing that the case says");
}

std::string operators_of(const Facts& facts) {
  return list_of(facts.operators, "not looked for; `samebits run ... --level op` names it");
}

std::string commands_of(const Facts& facts, const std::filesystem::path& run_folder) {
  return fmt::format("    {}\n    samebits compare {} {}\n", printable(facts.command),
                     printable((run_folder / facts.a).string()),
                     printable((run_folder / facts.b).string()));
}

std::string readme(const std::string& name, const Facts& facts, const std::string& commands) {
  return fmt::format(
      "# {}\n\n"
      "Case {}: the arms {} and {} were to be {}, and part at step {}, site {}.\n\n"
      "**What happened.** {}\n\n"
      "| arm | value |\n|---|---|\n| {} | {} |\n| {} | {} |\n\n"
      "The arms differ in\n\n{}\n"
      "The first operator:\n\n{}\n"
      "**Mechanism.** Not known yet.\n\n"
      "**Fix.** Not known yet.\n\n"
      "**Who is affected.** Not known yet.\n\n"
      "**No script for stock torch.** Not known yet.\n\n"
      "**Detected by** the comparison of the two arms:\n\n{}\n"
      "{}",
      name, markdown_code(facts.case_name), markdown_code(facts.a), markdown_code(facts.b),
      markdown_text(facts.relation), facts.step, markdown_code(facts.site),
      markdown_text(facts.text), markdown_text(facts.a), markdown_text(facts.value_a),
      markdown_text(facts.b), markdown_text(facts.value_b), settings_of(facts), operators_of(facts),
      commands, markdown_block(facts.environment));
}

std::string issue(const Facts& facts, const std::string& commands) {
  return fmt::format(
      "### Bug description\n\n"
      "The same workload, run in two ways, gives other values from step {} on. The first is "
      "{}:\n\n"
      "    {}\n\n"
      "The two ways differ in\n\n{}\n"
      "The first operator:\n\n{}\n"
      "**Expected:** {}: {}\n\n"
      "**Actual:** {}: {}\n\n"
      "Not known yet: the mechanism, and code that shows it without samebits.\n\n"
      "### To reproduce\n\n{}\n"
      "### Versions of the run\n\n{}",
      facts.step, markdown_code(facts.site), printable(facts.text), settings_of(facts),
      operators_of(facts), markdown_code(facts.a), markdown_text(facts.value_a),
      markdown_code(facts.b), markdown_text(facts.value_b), commands,
      markdown_block(facts.environment));
}

std::string header(const std::string& name, const Facts& facts) {
  return fmt::format(
      "#pragma once\n\n"
      "#include \"repro/catalogue/catalogue.h\"\n\n"
      "namespace samebits {{\n\n"
      "// Case {}: two arms part at step {}.\n"
      "Repro {}();\n\n"
      "}}  // namespace samebits\n",
      facts.case_name, facts.step, name);
}

// Builds, and fails its tests: neither side does anything wrong.
std::string source(const std::string& name) {
  std::string text = R"(#include "repro/NAME/repro.h"

#include <ATen/ATen.h>

namespace samebits {
namespace {

// Not written yet: one program, in which `side` switches what fails.
Subject NAME_subject(Side /*side*/) {
  Subject subject;
  subject.program = [](const std::vector<at::Tensor>& in) {
    return std::vector<at::Tensor>{in[0].mul(2)};
  };
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [](int64_t size) {
    return std::vector<at::Tensor>{at::arange(size, at::kFloat)};
  };
  subject.hint = 6;
  subject.sizes = sizes_to_try(/*ranks=*/2);
  return subject;
}

}  // namespace

Repro NAME() {
  return {"NAME", /*title=*/"not known yet",    /*is_silent=*/true, /*symptom=*/"not known yet",
          /*links=*/{}, NAME_subject};
}
SAMEBITS_REPRO(NAME);

}  // namespace samebits
)";
  const std::string placeholder = "NAME";
  for (size_t at = text.find(placeholder); at != std::string::npos;
       at = text.find(placeholder, at)) {
    text.replace(at, placeholder.size(), name);
    at += name.size();
  }
  return text;
}

}  // namespace

std::filesystem::path new_repro(const std::string& name, const std::filesystem::path& run_folder,
                                const std::filesystem::path& repros) {
  check_name(name);
  const std::filesystem::path folder = repros / name;
  if (std::filesystem::exists(folder)) {
    throw InputError(folder.string(), "a folder", "none: a new repro does not write over one");
  }
  const Facts facts = facts_of(run_folder);
  const std::string commands = commands_of(facts, run_folder);
  make_folder(folder);
  write_text_file((folder / "README.md").string(), readme(name, facts, commands));
  write_text_file((folder / "issue.md").string(), issue(facts, commands));
  write_text_file((folder / "repro.h").string(), header(name, facts));
  write_text_file((folder / "repro.cpp").string(), source(name));
  return folder;
}

}  // namespace samebits
