#include <algorithm>

#include "harness/diagnose/why_golden.h"
#include "harness/report/table.h"

namespace samebits {
namespace {

using Answer = GoldenPart::Answer;

std::string text_of(Answer answer) {
  switch (answer) {
    case Answer::kSame:
      return "the same";
    case Answer::kMoved:
      return "put back: the golden's bits";
    case Answer::kTogether:
      return "put back with the others: the golden's bits";
    case Answer::kDidNot:
      return "put back: other bits";
    case Answer::kUntried:
      return "not put back";
  }
  return "";
}

// "a, b and c", of the parts with this answer; "" for none.
std::string names_of(const std::vector<GoldenPart>& parts, Answer answer) {
  std::vector<std::string> names;
  for (const GoldenPart& each : parts) {
    if (each.answer == answer) names.push_back(each.name);
  }
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  return text;
}

}  // namespace

std::string WhyGolden::text() const {
  if (moved.empty()) return "arm " + arm + " gives its golden's bits: nothing moved\n";
  Table table{{{"part"}, {"then"}, {"now"}, {"what was found"}}, {}};
  for (const GoldenPart& each : parts) {
    table.rows.push_back({each.name, each.then, each.now, text_of(each.answer)});
  }
  std::string text = "arm " + arm + ": " + moved + "\n\n" + table.console() + "\n";
  if (const std::string one = names_of(parts, Answer::kMoved); !one.empty()) {
    return text + one + " moved it.\n";
  }
  if (const std::string all = names_of(parts, Answer::kTogether); !all.empty()) {
    return text + all + " moved it together.\n";
  }
  text += "Nothing that could be put back moved it.\n";
  if (const std::string left = names_of(parts, Answer::kUntried); !left.empty()) {
    text += "What is left: " + left + ".\n";
  }
  return bisection.empty() ? text : text + "The commit, by bisection:\n" + bisection;
}

}  // namespace samebits
