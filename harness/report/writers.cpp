#include "harness/report/writers.h"

#include "harness/core/error.h"
#include "harness/report/tables.h"

namespace samebits {
namespace {

std::string title(const ReportRecord& record) {
  return record.case_name + (record.is_complete ? "" : " (cut off: the run has no manifest)");
}

void add_section(std::string& text, const Table& table) {
  if (!table.rows.empty()) text += "\n" + table.console();
}

void add_details(std::string& text, const std::string& summary, const Table& table) {
  if (table.rows.empty()) return;
  text += "\n<details><summary>" + summary + "</summary>\n\n" + table.markdown() + "\n</details>\n";
}

// What cannot be said in a name of a test: one line of plain text.
std::string xml_escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return escaped;
}

struct JunitCase {
  std::string name;
  double seconds = 0;
  std::string failure;  // "" passes
};

std::vector<JunitCase> junit_cases(const ReportRecord& record) {
  std::vector<JunitCase> cases;
  for (const Verdict& verdict : record.verdicts) {
    std::string name = to_string(verdict.relation.holds);
    for (const std::string& arm : verdict.relation.arms) name += " " + arm;
    cases.push_back({name, 0, verdict.holds ? "" : verdict.text()});
  }
  for (const ReportRecord::ArmCost& arm : record.arms) {
    std::string failure = arm.witness_failure;
    if (!arm.finished) failure = "the arm was cut off";
    cases.push_back({"arm " + arm.name, arm.wall_seconds, failure});
  }
  for (const ReportRecord::GoldenLine& line : record.golden) {
    cases.push_back({"golden " + line.arm, 0, line.status == "different" ? line.text : ""});
  }
  return cases;
}

Json json_from_arm_cost(const ReportRecord::ArmCost& arm) {
  Json phases = Json::object();
  for (const ReportRecord::PhaseTotal& phase : arm.phases) {
    phases[phase.phase] = {
        {"seconds", phase.seconds}, {"share", phase.share}, {"peak_bytes", phase.peak_bytes}};
  }
  Json witness = Json::object();
  for (const auto& [name, count] : arm.witness) witness[name] = count;
  Json gap;
  if (arm.gap) {
    gap = {{"tokens", arm.gap->tokens},
           {"different", arm.gap->different},
           {"max_ulp", arm.gap->max_ulp}};
  }
  return {{"name", arm.name},
          {"mode", arm.mode},
          {"generator", arm.generator},
          {"trainer", arm.trainer},
          {"gap", std::move(gap)},
          {"finished", arm.finished},
          {"steps", arm.steps},
          {"wall_seconds", arm.wall_seconds},
          {"phases", std::move(phases)},
          {"witness", std::move(witness)},
          {"witness_failure", arm.witness_failure},
          {"completion", arm.completion}};
}

Json json_from_step(const ReportRecord& record, const ReportRecord::Step& step) {
  Json json = {{"step", step.step}};
  for (size_t i = 0; i < record.metrics.size(); ++i) {
    json[record.metrics[i].site] = step.values[i];
  }
  json["tokens"] = step.tokens;
  json["relations"] = Json::array();
  for (const ReportRecord::Cell& cell : step.cells) {
    json["relations"].push_back({{"equal", cell.equal}, {"text", cell.text}});
  }
  return json;
}

}  // namespace

std::string console_report(const ReportRecord& record) {
  std::string text = title(record) + "\n" + record.headline + "\n";
  for (const std::string& line : record.operators) text += line + "\n";
  add_section(text, step_table(record));
  add_section(text, relation_table(record));
  add_section(text, gap_table(record));
  add_section(text, time_table(record));
  add_section(text, memory_table(record));
  add_section(text, witness_table(record));
  add_section(text, guard_table(record));
  add_section(text, golden_table(record));
  add_section(text, environment_table(record));
  return text;
}

std::string markdown_report(const ReportRecord& record) {
  std::string text = "### samebits: " + title(record) + "\n\n**" + record.headline + "**\n";
  for (const std::string& line : record.operators) text += "\n" + line + "\n";
  if (!record.command.empty()) text += "\n`" + record.command + "`\n";
  text += "\n" + step_table(record).markdown();
  if (!record.verdicts.empty()) text += "\n" + relation_table(record).markdown();
  const Table gaps = gap_table(record);
  if (!gaps.rows.empty()) text += "\n" + gaps.markdown();
  text += "\n" + time_table(record).markdown();
  add_details(text, "Peak memory", memory_table(record));
  add_details(text, "Witness: what proves the mode of each arm", witness_table(record));
  add_details(text, "Guards, and the sizes at which they were false", guard_table(record));
  add_details(text, "Goldens", golden_table(record));
  add_details(text, "Environment", environment_table(record));
  return text;
}

std::string json_report(const ReportRecord& record) {
  Json json = {{"case", record.case_name},       {"command", record.command},
               {"complete", record.is_complete}, {"holds", record.holds},
               {"headline", record.headline},    {"operators", record.operators},
               {"environment", Json::object()},  {"steps", Json::array()},
               {"verdicts", Json::array()},      {"arms", Json::array()},
               {"golden", Json::array()}};
  for (const auto& [key, value] : record.environment) json["environment"][key] = value;
  for (const ReportRecord::Step& step : record.steps) {
    json["steps"].push_back(json_from_step(record, step));
  }
  for (const Verdict& verdict : record.verdicts) {
    json["verdicts"].push_back(json_from_verdict(verdict));
  }
  for (const ReportRecord::ArmCost& arm : record.arms) {
    json["arms"].push_back(json_from_arm_cost(arm));
  }
  for (const ReportRecord::GoldenLine& line : record.golden) {
    json["golden"].push_back({{"arm", line.arm}, {"status", line.status}, {"text", line.text}});
  }
  return json.dump(2, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

std::string junit_report(const ReportRecord& record) {
  const std::vector<JunitCase> cases = junit_cases(record);
  size_t failures = 0;
  std::string body;
  for (const JunitCase& each : cases) {
    body += "  <testcase classname=\"samebits." + xml_escaped(record.case_name) + "\" name=\"" +
            xml_escaped(each.name) + "\" time=\"" + shortest_text(each.seconds) + "\"";
    if (each.failure.empty()) {
      body += "/>\n";
      continue;
    }
    ++failures;
    body += ">\n    <failure message=\"" + xml_escaped(each.failure) + "\"/>\n  </testcase>\n";
  }
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"samebits " +
         xml_escaped(record.case_name) + "\" tests=\"" + std::to_string(cases.size()) +
         "\" failures=\"" + std::to_string(failures) + "\">\n" + body + "</testsuite>\n";
}

std::string report_in_format(const ReportRecord& record, const std::string& format) {
  if (format == "console") return console_report(record);
  if (format == "md") return markdown_report(record);
  if (format == "json") return json_report(record);
  if (format == "junit") return junit_report(record);
  throw InputError("--format", quoted(format),
                   JsonReader::one_of_text({"console", "md", "json", "junit"}, format));
}

}  // namespace samebits
