// symbol_mismatch, false_guard and uncapturable: what a trace of the program shows.

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <optional>

#include "harness/capture/captured_program.h"
#include "harness/capture/guard_ledger.h"
#include "harness/capture/symbol_oracle.h"
#include "harness/detect/findings.h"

namespace samebits {
namespace {

// Serves a subject from traces, the first at the hint, until a size needs one that is refused.
class Server {
 public:
  explicit Server(const Subject& subject)
      : subject_(subject), captured_(subject.program, subject.dims, subject.guards) {
    serve(subject.hint);
  }

  // Nothing: refused, which is uncapturable's to report.
  std::optional<CapturedProgram::Served> serve(int64_t size) {
    if (!refusal_.empty()) return std::nullopt;
    try {
      return captured_.serve(subject_.inputs(size));
    } catch (const c10::Error& error) {
      refusal_ = first_line_of(error);
      return std::nullopt;
    }
  }

  const std::string& refusal() const { return refusal_; }

 private:
  const Subject& subject_;
  CapturedProgram captured_;
  std::string refusal_;
};

}  // namespace

Findings symbol_mismatches(const Subject& subject) {
  Findings found;
  Server server(subject);
  for (const int64_t size : subject.sizes) {
    const auto served = server.serve(size);
    if (!served || !runs_eagerly(subject, size)) continue;  // no sizes to compare with
    try {
      const auto mismatches = symbol_oracle(*served->graph, subject.program, subject.inputs(size));
      for (const SizeMismatch& each : mismatches) found.push_back(each.str());
    } catch (const c10::Error& error) {  // another branch
      found.push_back(
          fmt::format("{}: {}", sizes_text(*served->graph, served->symbols), first_line_of(error)));
    }
  }
  return found;
}

Findings false_guards(const Subject& subject) {
  Findings found;
  Server server(subject);
  for (const int64_t size : subject.sizes) {
    const auto served = server.serve(size);
    if (!served) continue;
    GuardLedger ledger(served->graph);
    ledger.check(served->symbols, GuardPolicy::kDrop);
    for (const GuardRecord& record : ledger.records()) {
      for (const auto& at : record.false_at) {
        found.push_back(fmt::format("{}: {} is false; it was true at {}", at.sizes, record.guard,
                                    record.asked_at));
      }
    }
  }
  return found;
}

Findings uncapturable(const Subject& subject) {
  Server server(subject);
  for (const int64_t size : subject.sizes) server.serve(size);
  if (server.refusal().empty()) return {};
  return {server.refusal()};
}

bool runs_eagerly(const Subject& subject, int64_t size) {
  const c10::NoGradGuard no_grad;
  try {
    subject.program(subject.inputs(size));
  } catch (const c10::Error&) {
    return false;
  }
  return true;
}

std::string first_line_of(const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  return text.substr(0, text.find('\n'));
}

}  // namespace samebits
