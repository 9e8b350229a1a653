#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "harness/capture/sym/expr.h"

namespace samebits::sym {

// Many expressions compiled into one list of integer instructions, each subexpression once. The
// first registers are the symbols. add() everything, then evaluate as often as sizes change.
class Evaluator {
 public:
  explicit Evaluator(int symbols) : registers_(symbols) {}

  // The register that will hold the expression's value.
  int add(const Expr& e);

  // Fills all registers; `symbols` by id. The result stays valid until the next call. Throws
  // std::domain_error at a division by zero, std::overflow_error outside int64.
  const std::vector<int64_t>& evaluate(const std::vector<int64_t>& symbols);

 private:
  enum class Op : uint8_t { add, mul, floordiv, min, max };
  struct Instruction {
    Op op;
    int out;
    int a;
    int b;
  };

  int add_atom(const Atom& atom);
  int load(int64_t constant);
  int emit(Op op, int a, int b);

  std::vector<int64_t> registers_;  // symbols, then constants and results in order of add()
  std::vector<Instruction> code_;
  std::map<int64_t, int> constants_;
  std::map<std::vector<int>, int> known_;  // {op, a, b} -> register
};

}  // namespace samebits::sym
