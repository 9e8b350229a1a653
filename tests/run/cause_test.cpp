// What a difference is blamed on, with one fault of each kind planted.
#include "harness/run/cause.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cstdio>
#include <functional>
#include <map>

#include "harness/kernels/functional.h"
#include "harness/observe/step_observer.h"
#include "harness/run/cause_text.h"
#include "harness/run/in_process_arm.h"
#include "tests/run/graphless_workload.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;

// Computes and observes in a phase "train".
class Computing : public testing::GraphlessWorkload {
 public:
  explicit Computing(std::function<void(Observer&)> compute) : compute_(std::move(compute)) {}
  std::string step(int64_t, Observer& observer) override {
    observer.begin_phase("train");
    compute_(observer);
    return {};
  }

 private:
  std::function<void(Observer&)> compute_;
};

Computation kept_at(const std::string& site, const std::function<void(Observer&)>& compute,
                    int64_t occurrence = 0) {
  MemorySink sink;
  Computing workload(compute);
  TensorKeeper keeper({0, "train", site, occurrence});
  StepObserver observer(sink, Level::kOp);
  observer.keep_with(keeper);
  run_step(workload, 0, observer);
  return keeper.kept();
}

Cause cause_between(const Computation& a, const Computation& b) {
  return cause_of(a, b, "a", "b", /*step=*/0);
}

std::string fact(const Cause& cause, const std::string& key) {
  for (const auto& [name, text] : cause.facts) {
    if (name == key) return text;
  }
  return "no such fact";
}

at::Tensor some(int64_t rows = 3) {
  return at::linspace(-1, 1, rows * 8).view({rows, 8}).to(at::kBFloat16);
}

// A norm of a sum, whose weight is observed, after the sum.
Computation norm_of_sum(const at::Tensor& weight, double eps, const at::Tensor& x = some()) {
  return kept_at("norm#0", [&](Observer& observer) {
    const at::Tensor sum = ops::residual_add(x, x);
    ops::mark(sum, "sum#0");
    ops::mark(ops::rms_norm(sum, weight, eps, /*fused_rounding=*/false), "norm#0");
    observer.observe("norm.weight", weight.detach());
  });
}

at::Tensor ones() { return at::ones({8}, at::kBFloat16); }

TEST(CauseTest, AComputationBeginsWithWhatWasObserved) {
  const Computation kept = norm_of_sum(ones(), 1e-6);
  ASSERT_EQ(kept.calls.size(), 1U);
  EXPECT_EQ(kept.calls[0].name(), "samebits::rms_norm");
  ASSERT_EQ(kept.calls[0].inputs.size(), 2U);
  EXPECT_EQ(kept.values[kept.calls[0].inputs[0].value].site, "sum#0");
  EXPECT_EQ(kept.values[kept.calls[0].inputs[1].value].site, "norm.weight");
  EXPECT_EQ(kept.values[kept.result].call, 0U);
}

TEST(CauseTest, AnOperatorWhoseInputsAndArgumentsAreEqualIsTheCause) {
  const Computation a = norm_of_sum(ones(), 1e-6);
  Computation b = a;
  b.values[b.result].tensor = a.values[a.result].tensor.clone();
  b.values[b.result].tensor.view(at::kShort).view({-1})[5] += 1;
  const Cause cause = cause_between(a, b);
  EXPECT_EQ(cause.kind, Cause::Kind::kOperator);
  EXPECT_EQ(fact(cause, "cause"),
            "samebits::rms_norm itself: its inputs and arguments are equal, and its output is not");
  EXPECT_EQ(fact(cause, "inputs"), "equal: x (sum#0) and weight (norm.weight)");
  EXPECT_EQ(fact(cause, "arguments"), "equal: eps 1e-06 and fused_rounding false");
  EXPECT_EQ(fact(cause, "alone"), "the call of a gives its value always (5 of 5), that of b never");
  EXPECT_EQ(fact(cause, "result"), "no such fact");  // it is what was observed
}

TEST(CauseTest, AnOutputInOtherPlacesIsSaidToBeSo) {
  const Computation a = norm_of_sum(ones(), 1e-6);
  Computation b = a;
  b.values[b.result].tensor = a.values[a.result].tensor.flip(0).contiguous();
  EXPECT_EQ(fact(cause_between(a, b), "cause"),
            "samebits::rms_norm itself: its inputs and arguments are equal, and its output has the "
            "same elements in other places, dim 0: 0 is the first's 2, 2 its 0");
}

TEST(CauseTest, ACallThatNobodyObservedHasItsOwnResult) {
  const auto sum_of_norm = [](double eps) {
    return kept_at("sum#0", [&](Observer&) {
      const at::Tensor norm = ops::rms_norm(some(), ones(), eps, /*fused_rounding=*/false);
      ops::mark(ops::residual_add(norm, some()), "sum#0");
    });
  };
  const Cause cause = cause_between(sum_of_norm(1e-6), sum_of_norm(1e-1));
  EXPECT_EQ(cause.kind, Cause::Kind::kArguments);
  EXPECT_THAT(fact(cause, "result"), HasSubstr("of 24 differ, first [0,0]: "));
}

// Each side is measured against its own arguments, also where their results are equal.
TEST(CauseTest, NearerInFloat64AreElementsThatDiffer) {
  const Cause cause = cause_between(norm_of_sum(ones(), 1e-6), norm_of_sum(ones(), 1e-3));
  int64_t different = 0;
  int64_t of_a = 0;
  int64_t of_b = 0;
  const std::string text = fact(cause, "float64");
  ASSERT_EQ(std::sscanf(text.c_str(), "of %ld elements that differ a is nearer in %ld, b in %ld",
                        &different, &of_a, &of_b),
            3)
      << text;
  EXPECT_GT(different, 0);
  EXPECT_LT(different, 24);
  EXPECT_LE(of_a + of_b, different);
}

TEST(CauseTest, NeighboursOfOneNameAreCounted) {
  EXPECT_THAT(folded({"a", "b", "b", "c", "b"}),
              ::testing::ElementsAre("a", "b (2 of them)", "c", "b"));
  EXPECT_TRUE(folded({}).empty());
}

TEST(CauseTest, AReplayIsBlamedOnAnOperatorWhereItIsTheOnlyOne) {
  const auto of_calls = [](int calls) {
    return cause_of_replay(kept_at("out#0",
                                   [&](Observer&) {
                                     at::Tensor x = some();
                                     for (int i = 0; i < calls; ++i) x = at::relu(x.view({-1}));
                                     ops::mark(x, "out#0");
                                   }),
                           "b", "a");
  };
  EXPECT_EQ(of_calls(1).op, "aten::relu");
  EXPECT_THAT(fact(of_calls(1), "cause"), HasSubstr("the replay in b, at aten::relu: run"));
  EXPECT_EQ(of_calls(3).op, "");
  EXPECT_THAT(fact(of_calls(3), "cause"), HasSubstr("the replay in b, at one of 3 calls: run"));
  EXPECT_EQ(fact(of_calls(3), "calls"), "aten::relu (3 of them)");
}

// The second of two copies.
TEST(CauseTest, ACopyThatGivesAnotherValueThanItIsGivenIsTheCause) {
  const Computation a = kept_at("to#0", [](Observer&) {
    const at::Tensor sum = ops::residual_add(some(), some());
    const at::Tensor to = at::empty_like(sum);
    at::empty_like(sum).copy_(sum);
    to.copy_(sum);
    ops::mark(to, "to#0");
  });
  Computation b = a;
  b.values[b.result].tensor = a.values[a.result].tensor.clone();
  b.values[b.result].tensor.view(at::kShort).view({-1})[5] += 1;
  const Cause cause = cause_between(a, b);
  EXPECT_EQ(cause.kind, Cause::Kind::kOperator);
  EXPECT_EQ(cause.op, "aten::copy_");
  EXPECT_EQ(cause.number, 1);
  EXPECT_EQ(fact(cause, "cause"),
            "aten::copy_ itself: in b it gives another value than it is given");
}

// The other arm has no copy there, or sees through its own, and its operator takes other inputs.
TEST(CauseTest, ACopyThatIsNoneIsTheCauseBesideAnOperatorOfTheOtherArm) {
  const auto kept = [](bool is_copied) {
    return kept_at("out#0", [&](Observer&) {
      const at::Tensor norm = ops::rms_norm(at::relu(some()), ones(), 1e-6, false);
      ops::mark(at::relu(is_copied ? norm.clone() : norm), "out#0");
    });
  };
  const Computation a = kept(false);
  Computation b = kept(true);
  const auto change = [](at::Tensor& tensor) {
    tensor = tensor.clone();
    tensor.view(at::kShort).view({-1})[5] += 1;
  };
  change(b.values[b.calls.back().inputs[0].value].tensor);
  change(b.values[b.result].tensor);
  const Cause cause = cause_between(a, b);
  EXPECT_EQ(cause.kind, Cause::Kind::kOperator);
  EXPECT_EQ(cause.op, "aten::clone");
}

TEST(CauseTest, AnotherEpsilonIsTheCause) {
  const Cause cause = cause_between(norm_of_sum(ones(), 1e-6), norm_of_sum(ones(), 1e-1));
  EXPECT_EQ(cause.kind, Cause::Kind::kArguments);
  EXPECT_EQ(fact(cause, "cause"), "samebits::rms_norm has other arguments: eps 1e-06 against 0.1");
  EXPECT_EQ(fact(cause, "inputs"), "equal: x (sum#0) and weight (norm.weight)");
  EXPECT_EQ(fact(cause, "alone"),
            "the call of a gives its value always (5 of 5), that of b always (5 of 5)");
}

TEST(CauseTest, AnotherWeightIsTheCause) {
  at::Tensor other = ones();
  other[3] = 2;
  const Cause cause = cause_between(norm_of_sum(ones(), 1e-6), norm_of_sum(other, 1e-6));
  EXPECT_EQ(cause.kind, Cause::Kind::kInput);
  EXPECT_EQ(fact(cause, "cause"),
            "input weight of samebits::rms_norm differs: norm.weight, as the run began with it");
  EXPECT_EQ(fact(cause, "weight"), "1 of 8 differ, first [3]: 1 against 2, 128 ULP");
  EXPECT_EQ(fact(cause, "inputs"), "equal: x (sum#0)");
}

TEST(CauseTest, AWeightOfAnotherDtypeIsToldByItsForm) {
  const Computation a = norm_of_sum(ones(), 1e-6);
  Computation b = a;
  b.values[b.calls[0].inputs[1].value].tensor = at::ones({8});
  b.values[b.result].tensor = at::zeros({3, 8}, at::kBFloat16);
  EXPECT_EQ(fact(cause_between(a, b), "weight"), "bfloat16 [8] against float32 [8]");
}

TEST(CauseTest, WhatNobodyObservedIsToldAsThat) {
  const auto sum_of = [](const at::Tensor& x) {
    return kept_at("sum#0", [&](Observer&) { ops::mark(ops::residual_add(x, x), "sum#0"); });
  };
  const Cause cause = cause_between(sum_of(some()), sum_of(some() * 3));
  EXPECT_EQ(cause.kind, Cause::Kind::kInput);
  EXPECT_THAT(fact(cause, "cause"), HasSubstr("input x of samebits::residual_add differs: which "
                                              "came in from outside"));
}

// Several calls between two observed values: the first of them whose output differs.
TEST(CauseTest, AnOperatorThatGivesBackWhatItTookMadeNothing) {
  const Computation kept = kept_at("out#0", [](Observer&) {
    const at::Tensor x = at::relu(some());
    ops::mark(x, "in#0");
    ops::mark(ops::residual_add(x.contiguous(), x), "out#0");
  });
  ASSERT_EQ(kept.calls.size(), 1U);
  EXPECT_EQ(kept.values[kept.calls[0].inputs[0].value].site, "in#0");
}

TEST(CauseTest, WithinACompositeTheCallIsNamed) {
  const auto composite = [](double factor) {
    return kept_at("out#0", [&](Observer&) {
      const at::Tensor x = some();
      ops::mark(x, "in#0");
      ops::mark(at::softmax(at::mul(at::relu(x), factor), -1), "out#0");
    });
  };
  const Computation a = composite(1.0);
  ASSERT_EQ(a.calls.size(), 3U);
  const Cause cause = cause_between(a, composite(2.0));
  EXPECT_EQ(cause.kind, Cause::Kind::kArguments);
  EXPECT_EQ(fact(cause, "cause"), "aten::mul has other arguments: other 1.0 against 2.0");
}

// What an operator writes is its output; what stood there before is its input.
TEST(CauseTest, AWrittenArgumentIsAnInputAndAnOutput) {
  const auto written = [](float before, float added) {
    return kept_at("sum#0", [&](Observer&) {
      at::Tensor sum = at::full({4}, before);
      sum.add_(at::full({4}, added));
      ops::mark(sum, "sum#0");
      sum.zero_();
    });
  };
  const Computation a = written(1, 2);
  ASSERT_EQ(a.calls.size(), 1U);
  EXPECT_TRUE(at::equal(a.values[a.result].tensor, at::full({4}, 3.0f)));
  const Cause before = cause_between(a, written(5, 2));
  EXPECT_THAT(fact(before, "cause"), HasSubstr("input self of aten::add_ differs"));
  EXPECT_THAT(fact(before, "self"), HasSubstr("4 of 4 differ, first [0]: 1 against 5"));
  const Cause added = cause_between(a, written(1, 7));
  EXPECT_THAT(fact(added, "cause"), HasSubstr("input other of aten::add_ differs"));
  EXPECT_THAT(fact(added, "alone"), HasSubstr("gives its value always (5 of 5), that of b always"));
}

TEST(CauseTest, OtherOperatorsOfEqualValuesAreTold) {
  const at::Tensor x = some();
  const auto doubled = [&](bool is_sum) {
    return kept_at("out#0", [&](Observer&) {
      const at::Tensor in = x.clone();
      ops::mark(in, "in#0");
      ops::mark(is_sum ? ops::residual_add(in, in) : at::relu(in), "out#0");
    });
  };
  const Cause cause = cause_between(doubled(true), doubled(false));
  EXPECT_EQ(cause.kind, Cause::Kind::kOtherOperators);
  EXPECT_EQ(fact(cause, "calls"), "a: samebits::residual_add; b: aten::relu");
  EXPECT_EQ(fact(cause, "inputs"), "equal: in#0");
}

TEST(CauseTest, OfOtherOperatorsOneThatGaveWhatItDoesNotGiveAloneIsTheCause) {
  const auto out = [](bool is_sum) {
    return kept_at("out#0", [&](Observer&) {
      const at::Tensor in = some();
      ops::mark(in, "in#0");
      ops::mark(is_sum ? ops::residual_add(in, in) : at::mul(in, 2), "out#0");
    });
  };
  const Computation a = out(true);
  Computation b = out(false);
  EXPECT_EQ(cause_between(a, b).kind, Cause::Kind::kOtherOperators);
  b.values[b.result].tensor.view(at::kShort).view({-1})[5] += 1;
  const Cause cause = cause_between(a, b);
  EXPECT_EQ(cause.kind, Cause::Kind::kOperator);
  EXPECT_EQ(cause.op, "aten::mul");
  EXPECT_EQ(fact(cause, "cause"),
            "aten::mul itself: in b it gave another value than it gives alone");
  EXPECT_EQ(fact(cause, "alone"), "the call of a gives its value always (5 of 5), that of b never");
}

// Of the first of two calls that write a cache, beside what both arms were given.
TEST(CauseTest, WhatLeftAnotherCacheIsTheCauseOfWhatReadsIt) {
  const auto kept = [] {
    return kept_at("cache#0", [](Observer&) {
      const at::Tensor cache = at::zeros({2, 4, 1, 8}, at::kBFloat16);
      for (const int64_t slot : {1, 6}) {
        const at::Tensor row = at::full({1, 1, 1, 8}, slot, at::kBFloat16);
        ops::write_kv(cache, at::zeros_like(cache), row, row, at::full({1}, slot));
      }
      ops::mark(cache, "cache#0");
    });
  };
  const Computation a = kept();
  Computation b = kept();
  const size_t found = b.calls.back().inputs[0].value;  // by the second
  ASSERT_EQ(b.calls.back().inputs[0].name, "k_cache");
  ASSERT_EQ(b.values[found].writes.size(), 2U);
  const auto change = [](at::Tensor& tensor) {
    tensor = tensor.clone();
    tensor.view(at::kShort).view({-1})[9] += 1;
  };
  change(b.values[b.result].tensor);
  change(b.values[found].tensor);
  b.values[found].writes[1].left.low += 1;
  const Cause cause = cause_between(a, b);
  EXPECT_EQ(cause.kind, Cause::Kind::kOperator);
  EXPECT_EQ(cause.op, "samebits::write_kv");
  EXPECT_EQ(cause.number, 0);
  EXPECT_THAT(fact(cause, "cause"), HasSubstr("was given the same, and left another cache"));
  // What the call was given differs, or nobody saw who left what it found.
  Computation other = b;
  other.values[found].writes[1].given[0].low += 1;
  EXPECT_EQ(cause_between(a, other).kind, Cause::Kind::kInput);
  b.values[found].writes[0].left.low += 1;
  EXPECT_EQ(cause_between(a, b).kind, Cause::Kind::kInput);
}

// Of which one takes zeros to add to beside what both take.
TEST(CauseTest, OtherOperatorsOfAValueThatDiffersLeadToWhatMadeIt) {
  const auto rows = [](float eps, bool is_added) {
    return kept_at("out#0", [&](Observer&) {
      const at::Tensor x = ops::rms_norm(some(), ones(), eps, /*fused_rounding=*/false);
      const at::Tensor index = at::arange(3);
      const at::Tensor out = is_added ? at::zeros({4, 8}, at::kBFloat16).index_add_(0, index, x)
                                      : at::index_select_backward(x, {4, 8}, 0, index);
      ops::mark(out, "out#0");
    });
  };
  const Cause cause = cause_between(rows(1e-6F, true), rows(0.5F, false));
  EXPECT_EQ(cause.kind, Cause::Kind::kArguments);
  EXPECT_THAT(fact(cause, "cause"), HasSubstr("samebits::rms_norm has other arguments: eps"));
  EXPECT_EQ(cause_between(rows(1e-6F, true), rows(1e-6F, false)).kind,
            Cause::Kind::kOtherOperators);
}

TEST(CauseTest, AValueThatTheProgramMadeItselfHasNoKnownCause) {
  const auto loss = [](float value) {
    return kept_at("loss",
                   [&](Observer& observer) { observer.observe("loss", at::scalar_tensor(value)); });
  };
  const Cause cause = cause_between(loss(1), loss(2));
  EXPECT_EQ(cause.kind, Cause::Kind::kUnknown);
  EXPECT_EQ(fact(cause, "cause"), "not known: no operator was seen to make it in a");
}

TEST(CauseTest, TheOccurrenceThatWasAskedForIsKept) {
  const Computation second = kept_at(
      "x#0",
      [](Observer&) {
        for (const int factor : {1, 2, 3}) {
          const at::Tensor x = at::full({1, 2}, static_cast<float>(factor));
          ops::mark(ops::residual_add(x, at::zeros_like(x)), "x#0");
        }
      },
      /*occurrence=*/1);
  EXPECT_TRUE(at::equal(second.values[second.result].tensor, at::full({1, 2}, 2.0f)));
}

}  // namespace
}  // namespace samebits
