// D1, D8 and D9: what a trace of the program shows.

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <memory>

#include "harness/capture/guard_ledger.h"
#include "harness/capture/symbol_oracle.h"
#include "repro/detect/findings.h"

namespace samebits {
namespace {

// The graph, or null where the program cannot be traced: that is D9's to report.
std::shared_ptr<const ir::Graph> graph_of(const Subject& subject, std::string* refusal = nullptr) {
  ShapeEnv env;
  try {
    return std::make_shared<const ir::Graph>(
        trace(subject.program, subject.inputs(subject.hint), subject.dims, env));
  } catch (const c10::Error& error) {
    if (refusal) *refusal = first_line_of(error);
    return nullptr;
  }
}

}  // namespace

Findings symbol_mismatches(const Subject& subject) {
  Findings found;
  const auto graph = graph_of(subject);
  if (!graph) return found;
  for (const int64_t size : subject.sizes) {
    if (!runs_eagerly(subject, size)) continue;  // no sizes to compare with
    for (const SizeMismatch& each : symbol_oracle(*graph, subject.program, subject.inputs(size))) {
      found.push_back(each.str());
    }
  }
  return found;
}

Findings false_guards(const Subject& subject) {
  Findings found;
  const auto graph = graph_of(subject);
  if (!graph) return found;
  GuardLedger ledger(graph);
  for (const int64_t size : subject.sizes) ledger.check({size}, GuardPolicy::kDrop);
  for (const GuardRecord& record : ledger.records()) {
    for (const auto& at : record.false_at) {
      found.push_back(fmt::format("{}: {} is false; it was true at {}", at.sizes, record.guard,
                                  record.asked_at));
    }
  }
  return found;
}

Findings uncapturable(const Subject& subject) {
  std::string refusal;
  if (graph_of(subject, &refusal)) return {};
  return {refusal};
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
