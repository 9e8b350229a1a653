#include "harness/capture/sym/sym_node.h"

#include <c10/util/Exception.h>

namespace samebits {

const sym::Expr& SymbolicIntNode::expr_of(const c10::SymNode& other) const {
  const auto* node = dynamic_cast<const SymbolicIntNode*>(other.get());
  TORCH_CHECK(node, "a symbolic size meets an integer of another kind: ", other->str());
  TORCH_CHECK(node->expr_.constant() || node->env_ == env_,
              "a symbolic size of one trace is used in another: ", node->expr_.str());
  return node->expr_;
}

c10::SymNode SymbolicIntNode::make(sym::Expr expr) const {
  return c10::make_intrusive<SymbolicIntNode>(env_, std::move(expr));
}
c10::SymNode SymbolicIntNode::make(sym::Condition condition) const {
  return c10::make_intrusive<SymbolicBoolNode>(env_, std::move(condition));
}

c10::SymNode SymbolicIntNode::clone() { return make(expr_); }

c10::SymNode SymbolicIntNode::add(const c10::SymNode& other) {
  return make(expr_ + expr_of(other));
}
c10::SymNode SymbolicIntNode::sub(const c10::SymNode& other) {
  return make(expr_ - expr_of(other));
}
c10::SymNode SymbolicIntNode::mul(const c10::SymNode& other) {
  return make(expr_ * expr_of(other));
}
c10::SymNode SymbolicIntNode::floordiv(const c10::SymNode& other) {
  return make(sym::floordiv(expr_, expr_of(other)));
}
c10::SymNode SymbolicIntNode::mod(const c10::SymNode& other) {
  return make(sym::mod(expr_, expr_of(other)));
}
c10::SymNode SymbolicIntNode::neg() { return make(-expr_); }
c10::SymNode SymbolicIntNode::sym_min(const c10::SymNode& other) {
  return make(sym::min(expr_, expr_of(other)));
}
c10::SymNode SymbolicIntNode::sym_max(const c10::SymNode& other) {
  return make(sym::max(expr_, expr_of(other)));
}

c10::SymNode SymbolicIntNode::eq(const c10::SymNode& other) {
  return make(sym::Condition::eq(expr_, expr_of(other)));
}
c10::SymNode SymbolicIntNode::ne(const c10::SymNode& other) {
  return make(sym::Condition::ne(expr_, expr_of(other)));
}
c10::SymNode SymbolicIntNode::gt(const c10::SymNode& other) {
  return make(sym::Condition::gt(expr_, expr_of(other)));
}
c10::SymNode SymbolicIntNode::lt(const c10::SymNode& other) {
  return make(sym::Condition::lt(expr_, expr_of(other)));
}
c10::SymNode SymbolicIntNode::le(const c10::SymNode& other) {
  return make(sym::Condition::le(expr_, expr_of(other)));
}
c10::SymNode SymbolicIntNode::ge(const c10::SymNode& other) {
  return make(sym::Condition::ge(expr_, expr_of(other)));
}

c10::SymNode SymbolicIntNode::wrap_int(int64_t num) { return make(sym::Expr(num)); }
c10::SymNode SymbolicIntNode::wrap_bool(bool num) { return make(sym::Condition(num)); }

int64_t SymbolicIntNode::guard_int(const char* file, int64_t line) {
  const int64_t hint = expr_.evaluate(env_.hints());
  env_.guard(sym::Condition::eq(expr_, sym::Expr(hint)), file, line);
  return hint;
}

int64_t SymbolicIntNode::int_() { return guard_int("", 0); }

const sym::Condition& SymbolicBoolNode::condition_of(const c10::SymNode& other) const {
  const auto* node = dynamic_cast<const SymbolicBoolNode*>(other.get());
  TORCH_CHECK(node, "a symbolic condition meets a truth value of another kind: ", other->str());
  return node->condition_;
}

c10::SymNode SymbolicBoolNode::make(sym::Condition condition) const {
  return c10::make_intrusive<SymbolicBoolNode>(env_, std::move(condition));
}

c10::SymNode SymbolicBoolNode::sym_and(const c10::SymNode& other) {
  return make(condition_ && condition_of(other));
}
c10::SymNode SymbolicBoolNode::sym_or(const c10::SymNode& other) {
  return make(condition_ || condition_of(other));
}

bool SymbolicBoolNode::guard_bool(const char* file, int64_t line) {
  return env_.guard(condition_, file, line);
}

}  // namespace samebits
