#pragma once

#include <c10/core/SymNodeImpl.h>

#include "harness/capture/sym/condition.h"
#include "harness/capture/sym/expr.h"
#include "harness/capture/sym/shape_env.h"

namespace samebits {

// An integer expression as c10 sees it: arithmetic gives expressions, comparisons conditions, and
// asking for a value adds a guard. Quotients round down, as sizes need.
class SymbolicIntNode final : public c10::SymNodeImpl {
 public:
  SymbolicIntNode(ShapeEnv env, sym::Expr expr) : env_(std::move(env)), expr_(std::move(expr)) {}

  const sym::Expr& expr() const { return expr_; }
  const ShapeEnv& env() const { return env_; }

  bool is_int() override { return true; }
  bool is_bool() override { return false; }
  bool is_float() override { return false; }
  c10::SymNode clone() override;

  c10::SymNode add(const c10::SymNode& other) override;
  c10::SymNode sub(const c10::SymNode& other) override;
  c10::SymNode mul(const c10::SymNode& other) override;
  c10::SymNode floordiv(const c10::SymNode& other) override;
  c10::SymNode mod(const c10::SymNode& other) override;
  c10::SymNode neg() override;
  c10::SymNode sym_min(const c10::SymNode& other) override;
  c10::SymNode sym_max(const c10::SymNode& other) override;
  c10::SymNode ceil() override { return clone(); }
  c10::SymNode floor() override { return clone(); }

  c10::SymNode eq(const c10::SymNode& other) override;
  c10::SymNode ne(const c10::SymNode& other) override;
  c10::SymNode gt(const c10::SymNode& other) override;
  c10::SymNode lt(const c10::SymNode& other) override;
  c10::SymNode le(const c10::SymNode& other) override;
  c10::SymNode ge(const c10::SymNode& other) override;

  c10::SymNode wrap_int(int64_t num) override;
  c10::SymNode wrap_bool(bool num) override;
  int64_t guard_int(const char* file, int64_t line) override;
  int64_t int_() override;
  bool has_hint() override { return true; }
  std::string str() override { return expr_.str(); }
  std::optional<int64_t> constant_int() override { return expr_.constant(); }
  std::optional<int64_t> maybe_as_int() override { return expr_.constant(); }
  bool is_constant() override { return expr_.constant().has_value(); }
  bool is_symbolic() override { return !is_constant(); }

  // Every tensor of a samebits program is contiguous.
  c10::SymNode is_contiguous(c10::ArrayRef<c10::SymNode>, c10::ArrayRef<c10::SymNode>) override {
    return wrap_bool(true);
  }
  c10::SymNode is_non_overlapping_and_dense(c10::ArrayRef<c10::SymNode>,
                                            c10::ArrayRef<c10::SymNode>) override {
    return wrap_bool(true);
  }
  c10::SymNode is_channels_last_contiguous_2d(c10::ArrayRef<c10::SymNode>,
                                              c10::ArrayRef<c10::SymNode>) override {
    return wrap_bool(false);
  }
  c10::SymNode is_channels_last_contiguous_3d(c10::ArrayRef<c10::SymNode>,
                                              c10::ArrayRef<c10::SymNode>) override {
    return wrap_bool(false);
  }
  c10::SymNode is_channels_last_strides_2d(c10::ArrayRef<c10::SymNode>,
                                           c10::ArrayRef<c10::SymNode>) override {
    return wrap_bool(false);
  }
  c10::SymNode is_channels_last_strides_3d(c10::ArrayRef<c10::SymNode>,
                                           c10::ArrayRef<c10::SymNode>) override {
    return wrap_bool(false);
  }

 private:
  const sym::Expr& expr_of(const c10::SymNode& other) const;
  c10::SymNode make(sym::Expr expr) const;
  c10::SymNode make(sym::Condition condition) const;

  ShapeEnv env_;
  sym::Expr expr_;
};

// A condition as c10 sees it. Deciding it adds a guard, unless it is constant.
class SymbolicBoolNode final : public c10::SymNodeImpl {
 public:
  SymbolicBoolNode(ShapeEnv env, sym::Condition condition)
      : env_(std::move(env)), condition_(std::move(condition)) {}

  bool is_int() override { return false; }
  bool is_bool() override { return true; }
  bool is_float() override { return false; }
  c10::SymNode clone() override { return make(condition_); }

  c10::SymNode sym_and(const c10::SymNode& other) override;
  c10::SymNode sym_or(const c10::SymNode& other) override;
  c10::SymNode sym_not() override { return make(!condition_); }
  c10::SymNode wrap_bool(bool num) override { return make(num); }

  bool guard_bool(const char* file, int64_t line) override;
  // Asks nothing: false where the bounds do not decide.
  bool statically_known_true(const char*, int64_t) override {
    return condition_.constant().value_or(false);
  }
  bool bool_() override { return guard_bool("", 0); }
  bool has_hint() override { return true; }
  std::string str() override { return condition_.str(); }
  std::optional<bool> constant_bool() override { return condition_.constant(); }
  bool is_constant() override { return condition_.constant().has_value(); }
  bool is_symbolic() override { return !is_constant(); }

 private:
  const sym::Condition& condition_of(const c10::SymNode& other) const;
  c10::SymNode make(sym::Condition condition) const;

  ShapeEnv env_;
  sym::Condition condition_;
};

}  // namespace samebits
