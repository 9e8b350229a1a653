#include "harness/capture/sym/evaluator.h"

#include <algorithm>

#include "harness/capture/sym/arithmetic.h"

namespace samebits::sym {

int Evaluator::load(int64_t constant) {
  const auto [at, added] = constants_.try_emplace(constant, static_cast<int>(registers_.size()));
  if (added) registers_.push_back(constant);
  return at->second;
}

int Evaluator::emit(Op op, int a, int b) {
  const int next = static_cast<int>(registers_.size());
  const auto [at, added] = known_.try_emplace({static_cast<int>(op), a, b}, next);
  if (added) {
    registers_.push_back(0);
    code_.push_back({op, next, a, b});
  }
  return at->second;
}

int Evaluator::add_atom(const Atom& atom) {
  if (atom.kind == AtomKind::symbol) return atom.id;
  const Op op = atom.kind == AtomKind::floordiv ? Op::floordiv
                : atom.kind == AtomKind::min    ? Op::min
                                                : Op::max;
  int result = add(atom.operands[0]);
  for (size_t i = 1; i < atom.operands.size(); ++i)
    result = emit(op, result, add(atom.operands[i]));
  return result;
}

int Evaluator::add(const Expr& e) {
  if (const auto constant = e.constant()) return load(*constant);
  int sum = -1;
  for (const Term& term : e.terms()) {
    int product = -1;
    for (const AtomPtr& factor : term.factors) {
      const int value = add_atom(*factor);
      product = product < 0 ? value : emit(Op::mul, product, value);
    }
    if (product < 0) {
      product = load(term.coefficient);
    } else if (term.coefficient != 1) {
      product = emit(Op::mul, load(term.coefficient), product);
    }
    sum = sum < 0 ? product : emit(Op::add, sum, product);
  }
  return sum;
}

const std::vector<int64_t>& Evaluator::evaluate(const std::vector<int64_t>& symbols) {
  std::copy(symbols.begin(), symbols.end(), registers_.begin());
  for (const Instruction& i : code_) {
    const int64_t a = registers_[i.a];
    const int64_t b = registers_[i.b];
    int64_t& out = registers_[i.out];
    switch (i.op) {
      case Op::add:
        out = checked_add(a, b);
        break;
      case Op::mul:
        out = checked_mul(a, b);
        break;
      case Op::floordiv:
        out = checked_floordiv(a, b);
        break;
      case Op::min:
        out = std::min(a, b);
        break;
      case Op::max:
        out = std::max(a, b);
        break;
    }
  }
  return registers_;
}

}  // namespace samebits::sym
