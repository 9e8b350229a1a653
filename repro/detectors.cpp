#include "repro/detectors.h"

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <memory>

#include "harness/capture/guard_ledger.h"
#include "harness/capture/symbol_oracle.h"

namespace samebits {
namespace {

using Findings = std::vector<std::string>;

// The graph, or null where the program cannot be traced: that is D9's to report.
std::shared_ptr<const ir::Graph> graph_of(const Subject& subject, std::string* refusal = nullptr) {
  ShapeEnv env;
  try {
    return std::make_shared<const ir::Graph>(
        trace(subject.program, subject.inputs(subject.hint), subject.dims, env));
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    if (refusal) *refusal = text.substr(0, text.find('\n'));
    return nullptr;
  }
}

Findings symbol_mismatches(const Subject& subject) {
  Findings found;
  const auto graph = graph_of(subject);
  if (!graph) return found;
  for (const int64_t size : subject.sizes) {
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

}  // namespace

const std::vector<Detector>& detectors() {
  static const std::vector<Detector> all{
      {"D1", "a traced size that is not the size at some other size than the hint",
       "values, and what another branch of the program would do", symbol_mismatches},
      {"D8", "a guard that is false at a size which the graph is to serve",
       "a branch on a plain integer, which leaves no guard", false_guards},
      {"D9",
       "what cannot be captured: a value read on the host, a size that depends on data, an "
       "operator without a rule",
       "what only a replay shows", uncapturable},
  };
  return all;
}

}  // namespace samebits
