#include "repro/weak_ref_op_unregistered/repro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/detect/findings.h"

namespace samebits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string evidence_of(const std::string& overload, bool on_mesh) {
  const Outcome outcome = run_subject(weak_ref_subject(overload, on_mesh));
  return outcome.went_wrong ? outcome.evidence : "";
}

TEST(WeakRefRegistries, AllThereNothingFails) {
  for (const bool on_mesh : {false, true}) {
    EXPECT_EQ(evidence_of("", on_mesh), "");
    EXPECT_THAT(registry_gaps(weak_ref_subject("", on_mesh)), IsEmpty());
  }
}

TEST(WeakRefRegistries, WithoutAShapeRuleTheTraceFails) {
  EXPECT_THAT(evidence_of("no_shape_rule", false),
              HasSubstr("traced at 6: operator samebits_repro::weak_ref.no_shape_rule has no shape "
                        "rule"));
  EXPECT_THAT(registry_gaps(weak_ref_subject("no_shape_rule", false)),
              ElementsAre("samebits_repro::weak_ref.no_shape_rule: no shape rule"));
}

TEST(WeakRefRegistries, WithoutAStrategyTheDispatchOnADTensorFails) {
  EXPECT_THAT(evidence_of("no_strategy", true),
              HasSubstr("eager at 6: operator samebits_repro::weak_ref.no_strategy has no sharding "
                        "strategy"));
  EXPECT_THAT(registry_gaps(weak_ref_subject("no_strategy", true)),
              ElementsAre(HasSubstr("weak_ref.no_strategy: no sharding strategy")));
  // On a plain tensor nobody asks.
  EXPECT_EQ(evidence_of("no_strategy", false), "");
}

TEST(WeakRefRegistries, WithoutAKernelTheCallFails) {
  EXPECT_THAT(evidence_of("no_kernel", false),
              HasSubstr("eager at 6: Could not run 'samebits_repro::weak_ref.no_kernel'"));
  EXPECT_THAT(registry_gaps(weak_ref_subject("no_kernel", false)),
              ElementsAre("samebits_repro::weak_ref.no_kernel: no kernel"));
}

TEST(WeakRefRegistries, AnUndeclaredAliasIsSilentAndFound) {
  for (const bool on_mesh : {false, true}) {
    EXPECT_EQ(evidence_of("undeclared_alias", on_mesh), "");
    EXPECT_THAT(registry_gaps(weak_ref_subject("undeclared_alias", on_mesh)),
                ElementsAre("samebits_repro::weak_ref.undeclared_alias: result 0 lies in the "
                            "memory of argument x, the schema says a fresh tensor"));
  }
}

TEST(WeakRefRegistries, AWrongShapeRuleIsFound) {
  EXPECT_THAT(registry_gaps(weak_ref_subject("wrong_shape_rule", false)),
              ElementsAre("samebits_repro::weak_ref.wrong_shape_rule: the shape rule gives Float "
                          "[6] for result 0, the kernel Float [6, 1024]"));
}

}  // namespace
}  // namespace samebits
