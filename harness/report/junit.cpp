#include "harness/base/text.h"
#include "harness/report/markup.h"
#include "harness/report/writers.h"

namespace samebits {
namespace {

std::string xml_escaped(const std::string& text) { return markup_escaped(printable(text)); }

struct JunitCase {
  std::string name;
  double seconds = 0;
  std::string failure = {};  // "" where it did not fail
  std::string skipped = {};  // why nothing was compared
};

std::string failure_of(const ReportRecord::ArmRecord& arm) {
  if (!arm.finished) return "the arm was cut off";
  return arm.evidence.first();
}

JunitCase on_policy_case(const std::string& arm, const OnPolicy& on_policy) {
  JunitCase junit{.name = "on_policy " + arm};
  if (!on_policy.holds) {
    junit.failure = on_policy.text();
  } else if (on_policy.rule.holds == Holds::kNothing) {
    junit.skipped = "not judged: " + on_policy.rule.reason;
  }
  return junit;
}

JunitCase golden_case(const GoldenCheck& check) {
  JunitCase junit{.name = "golden " + check.arm};
  if (check.fails()) {
    junit.failure = check.text;
  } else if (check.is_skipped()) {
    junit.skipped = check.text;
  }
  return junit;
}

std::vector<JunitCase> junit_cases(const ReportRecord& record) {
  std::vector<JunitCase> cases;
  for (const Verdict& verdict : record.verdicts) {
    std::string name = to_string(verdict.relation.holds);
    for (const std::string& arm : verdict.relation.arms) name += " " + arm;
    cases.push_back({.name = name, .failure = verdict.holds ? "" : verdict.text()});
  }
  for (const ReportRecord::ArmRecord& arm : record.arms) {
    cases.push_back(
        {.name = "arm " + arm.name, .seconds = arm.wall_seconds, .failure = failure_of(arm)});
    if (arm.on_policy) cases.push_back(on_policy_case(arm.name, *arm.on_policy));
  }
  for (const GoldenCheck& check : record.golden) cases.push_back(golden_case(check));
  // What is no relation, arm or golden: a run that was cut off, an arm that parts from itself.
  JunitCase run{.name = "run"};
  if (!record.holds) {
    run.failure = record.headline;
  } else if (!record.has_comparison) {
    run.skipped = record.headline;
  }
  cases.push_back(std::move(run));
  return cases;
}

}  // namespace

std::string junit_report(const ReportRecord& record) {
  const std::vector<JunitCase> cases = junit_cases(record);
  size_t failures = 0;
  size_t skipped = 0;
  std::string body;
  for (const JunitCase& each : cases) {
    body += "  <testcase classname=\"samebits." + xml_escaped(record.case_name) + "\" name=\"" +
            xml_escaped(each.name) + "\" time=\"" + shortest_text(each.seconds) + "\"";
    if (!each.failure.empty()) {
      ++failures;
      body += ">\n    <failure message=\"" + xml_escaped(each.failure) + "\"/>\n  </testcase>\n";
    } else if (!each.skipped.empty()) {
      ++skipped;
      body += ">\n    <skipped message=\"" + xml_escaped(each.skipped) + "\"/>\n  </testcase>\n";
    } else {
      body += "/>\n";
    }
  }
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"samebits " +
         xml_escaped(record.case_name) + "\" tests=\"" + std::to_string(cases.size()) +
         "\" failures=\"" + std::to_string(failures) + "\" skipped=\"" + std::to_string(skipped) +
         "\">\n" + body + "</testsuite>\n";
}

}  // namespace samebits
