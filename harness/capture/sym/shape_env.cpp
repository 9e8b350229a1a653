#include "harness/capture/sym/shape_env.h"

#include <c10/util/Exception.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/capture/sym/sym_node.h"

namespace samebits {

struct ShapeEnv::State {
  std::vector<Symbol> symbols;
  std::vector<int64_t> hints;
  std::vector<Guard> guards;
  std::string location;
};

namespace {

// The path from the checkout's root on, so that text does not depend on where it was built. Lines
// of c10 itself (a comparison operator of SymInt) say nothing about who asked.
std::string source_path(const char* file) {
  std::string path = file ? file : "";
  for (const char* root : {"harness/", "tests/", "bench/", "repro/"}) {
    const size_t at = path.rfind(std::string("/") + root);
    if (at != std::string::npos) return path.substr(at + 1);
    if (path.rfind(root, 0) == 0) return path;
  }
  return "";
}

}  // namespace

std::string Guard::str() const {
  std::string asked = file.empty() ? "" : " at " + file + ":" + std::to_string(line);
  if (!during.empty()) asked += " while tracing " + during;
  if (asked.empty()) asked = " by the program";
  return condition.str() + "  (asked" + asked + ")";
}

ShapeEnv::ShapeEnv() : state_(std::make_shared<State>()) {}

sym::Expr ShapeEnv::create_symbol(const std::string& name, int64_t hint, int64_t at_least) {
  auto& symbols = state_->symbols;
  const auto known = std::find_if(symbols.begin(), symbols.end(),
                                  [&](const Symbol& symbol) { return symbol.name == name; });
  if (hint < at_least) {
    throw InputError("symbol " + name, "size " + std::to_string(hint),
                     "at least " + std::to_string(at_least));
  }
  if (known != symbols.end()) {
    if (known->hint != hint) {
      throw InputError("symbol " + name,
                       "sizes " + std::to_string(known->hint) + " and " + std::to_string(hint),
                       "one size");
    }
    return sym::Expr::symbol(known - symbols.begin(), name, known->at_least);
  }
  symbols.push_back({name, hint, at_least});
  state_->hints.push_back(hint);
  return sym::Expr::symbol(symbols.size() - 1, name, at_least);
}

const std::vector<ShapeEnv::Symbol>& ShapeEnv::symbols() const { return state_->symbols; }
const std::vector<int64_t>& ShapeEnv::hints() const { return state_->hints; }
const std::vector<Guard>& ShapeEnv::guards() const { return state_->guards; }
void ShapeEnv::set_location(std::string during) { state_->location = std::move(during); }

bool ShapeEnv::guard(const sym::Condition& condition, const char* file, int64_t line) {
  if (const auto value = condition.constant()) return *value;
  const bool holds = condition.evaluate(state_->hints);
  const sym::Condition fact = holds ? condition : !condition;
  auto& guards = state_->guards;
  const bool known = std::any_of(guards.begin(), guards.end(),
                                 [&](const Guard& guard) { return guard.condition == fact; });
  if (!known) guards.push_back({fact, source_path(file), line, state_->location});
  return holds;
}

void ShapeEnv::relocate(size_t first, size_t last, const std::string& during) {
  for (size_t i = first; i < last; ++i) state_->guards.at(i).during = during;
}

c10::SymInt ShapeEnv::sym_int_from_expr(const sym::Expr& e) const {
  if (const auto value = e.constant()) return *value;
  return c10::SymInt(c10::SymNode(c10::make_intrusive<SymbolicIntNode>(*this, e)));
}

sym::Expr ShapeEnv::expr_from_sym_int(const c10::SymInt& i) const {
  if (const auto value = i.maybe_as_int()) return *value;
  const auto* node = dynamic_cast<const SymbolicIntNode*>(i.toSymNodeImplUnowned());
  TORCH_CHECK(node && node->env() == *this, "a symbolic size of another trace: ", i);
  return node->expr();
}

}  // namespace samebits
