#include "harness/compare/site_map.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "harness/case/case_relation.h"
#include "harness/compare/divergence.h"
#include "tests/compare/streams.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::recording;
using testing::scalar;

SiteRules names_only(std::vector<SiteRule> rules) { return {{}, std::move(rules)}; }

std::string message_of(const std::vector<SiteRule>& rules, const ArmRecording& recording) {
  try {
    SiteMap(names_only(rules)).renamed(recording);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(SiteMap, EachRuleInOrderReplacesWhatItFindsFirst) {
  const SiteMap map(names_only({{R"(^model\.)", ""}, {R"(\.(q|k)_proj)", ".w$1"}, {"x", "xx"}}));
  EXPECT_EQ(map.renamed("model.layers.0.q_proj/aten.mm[0]#0"), "layers.0.wq/aten.mm[0]#0");
  EXPECT_EQ(map.renamed("the.model.v_proj"), "the.model.v_proj");
  EXPECT_EQ(map.renamed("x x"), "xx x");
  EXPECT_EQ(SiteMap(names_only({{"a", std::string(500, 'b')}})).renamed("a").size(), 500u);
  EXPECT_EQ(SiteMap({}).renamed("a"), "a");
}

TEST(SiteMap, ProgramsWithOtherNamesAreComparedByTheFirstOnes) {
  const ArmRecording a =
      recording("a", {scalar(0, "forward", "wq#0", 1), scalar(0, "log", "loss", 2)});
  const ArmRecording b =
      recording("b", {scalar(0, "forward", "q_proj#0", 1), scalar(0, "log", "loss", 2)});
  Relation relation;
  EXPECT_EQ(compare_recordings(a, b, relation).only_b, 1);
  relation.map.names = {{"^q_proj", "wq"}};
  const PairComparison comparison = compare_recordings(a, b, relation);
  EXPECT_TRUE(comparison.agrees());
  EXPECT_EQ(comparison.compared, 2);
  const ArmRecording other =
      recording("b", {scalar(0, "forward", "q_proj#0", 3), scalar(0, "log", "loss", 2)});
  EXPECT_EQ(compare_recordings(a, other, relation).first->text(),
            "step 0, forward, wq#0: 1 against 3, 12582912 ULP");
}

TEST(SiteMap, WherePartsAreToldTheSecondKeepsItsOwnName) {
  const ArmRecording a =
      recording("a", {scalar(0, "forward", "wq#0", 1), scalar(0, "forward", "wq#0", 1),
                      scalar(1, "forward", "wq#0", 1)});
  const ArmRecording b =
      recording("b", {scalar(0, "forward", "q_proj#0", 1), scalar(0, "forward", "q_proj#0", 2),
                      scalar(1, "forward", "w_q#0", 1)});
  Relation relation;
  relation.map.names = {{"^(q_proj|w_q)", "wq"}};
  const PairComparison comparison = compare_recordings(a, b, relation);
  ASSERT_TRUE(comparison.first);
  EXPECT_EQ(comparison.first->site, "wq#0");
  EXPECT_EQ(comparison.first->b->site, "q_proj#0");
  EXPECT_EQ(comparison.first->occurrence_b, 1);
  EXPECT_EQ(comparison.first_value->b->site, "q_proj#0");
}

TEST(SiteMap, APrecisionHasTheNewNameToo) {
  const auto log = [](const std::string& site) {
    ArmRecording recorded = recording("a", {scalar(0, "log", site, 1)});
    recorded.log = LogSource{.file = "a.csv",
                             .format = "csv",
                             .pattern = "",
                             .drops = "",
                             .precision = {{site, {.kind = Precision::Kind::kFloat32}}},
                             .unread = {}};
    return recorded;
  };
  Relation relation;
  relation.map.names = {{"^global_avg_", ""}};
  EXPECT_EQ(compare_recordings(log("loss"), log("global_avg_loss"), relation).precision,
            "to the bit of float32 (loss)");
  EXPECT_EQ(compare_recordings(log("loss"), log("avg_loss"), relation).precision, "");
}

TEST(SiteMap, TwoSitesOfOneNameInAStepAreRefused) {
  const std::vector<SiteRule> rules = {{"[12]", ""}};
  const std::string found = message_of(
      rules, recording("b", {scalar(4, "log", "loss1", 1), scalar(4, "log", "loss2", 1)}));
  EXPECT_THAT(found, HasSubstr(R"("loss1" and "loss2" as "loss" in step 4)"));
  EXPECT_EQ(found.find('\n'), std::string::npos);
  // One site that is seen twice, and two in other steps or phases, are none of that.
  EXPECT_EQ(
      message_of(rules,
                 recording("b", {scalar(0, "log", "loss1", 1), scalar(0, "log", "loss1", 2),
                                 scalar(0, "train", "loss2", 1), scalar(1, "log", "loss2", 1)})),
      "");
  EXPECT_NE(message_of({{"loss.", "kl"}},
                       recording("b", {scalar(0, "log", "kl", 1), scalar(0, "log", "loss2", 1)})),
            "");
}

TEST(SiteMap, ABadRuleIsNamedBeforeAnySiteIsSeen) {
  for (const SiteRule& rule : {SiteRule{"(", ""}, SiteRule{"a", "$1"}, SiteRule{"a", "${"}}) {
    try {
      SiteMap map(names_only({rule}));
      ADD_FAILURE() << rule.from;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("map: \"" + rule.from + "\""));
    }
    try {
      SiteMap map({{{.from = rule.from, .to = {"a", rule.to}}}, {}});
      ADD_FAILURE() << rule.from;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("map: \"" + rule.from + "\""));
    }
  }
}

// [2, 3] of the values from 1 on, of which `moved` is another one.
Observation matrix(const std::string& site, std::vector<int64_t> shape, size_t moved = 6) {
  std::vector<float> values = {1, 2, 3, 4, 5, 6};
  if (moved < values.size()) values[moved] += 1;
  return observe_tensor(0, "forward", 0, site, Dtype::float32, std::move(shape), values.data());
}

SiteRules flat(const std::string& from) {
  return {{{.from = from, .kind = SiteLayout::Kind::kFlat}}, {}};
}

TEST(SiteMap, TheSameElementsInAnotherShapeAreEqualWhereAMapSaysFlat) {
  const ArmRecording a =
      recording("a", {matrix("up#0", {2, 3}), scalar(0, "forward", "loss#0", 1)});
  const ArmRecording b =
      recording("b", {matrix("up#0", {1, 2, 3}), scalar(0, "forward", "loss#0", 1)});
  Relation relation;
  EXPECT_EQ(compare_recordings(a, b, relation).first->values(),
            "float32 [2, 3] against float32 [1, 2, 3]");
  relation.map = flat("#0$");
  EXPECT_TRUE(compare_recordings(a, b, relation).agrees());
  EXPECT_TRUE(compare_recordings(b, a, relation).agrees());
  const ArmRecording flattened = SiteMap(relation.map).laid_out(a);
  EXPECT_EQ(flattened.ranks[0].observations[0], matrix("up#0", {6}));
  EXPECT_EQ(flattened.ranks[0].observations[1], scalar(0, "forward", "loss#0", 1));
  for (size_t moved = 0; moved < 6; ++moved) {
    const ArmRecording other =
        recording("b", {matrix("up#0", {3, 2}, moved), scalar(0, "forward", "loss#0", 1)});
    EXPECT_EQ(compare_recordings(a, other, relation).first->site, "up#0") << moved;
  }
  relation.map = flat("^down");
  EXPECT_FALSE(compare_recordings(a, b, relation).agrees());
}

TEST(SiteMap, WhatOnlyARecorderCanLayOutIsRefused) {
  const ArmRecording seen = recording("b", {matrix("qkv_proj.weight", {2, 3})});
  for (const auto& [name, kind] : names_of(SiteLayout::Kind())) {
    const SiteLayout layout = {.from = "qkv_proj", .kind = kind};
    const bool is_told = kind == SiteLayout::Kind::kFlat || kind == SiteLayout::Kind::kPadded ||
                         kind == SiteLayout::Kind::kPacked;
    try {
      SiteMap({{layout}, {}}).laid_out(seen);
      EXPECT_TRUE(is_told) << name;
    } catch (const InputError& error) {
      EXPECT_FALSE(is_told) << name;
      EXPECT_THAT(error.what(),
                  HasSubstr("\"qkv_proj.weight\" in a recording of b, layout " + name));
    }
    SiteMap({{{.from = "gate_up_proj", .kind = kind}}, {}}).laid_out(seen);
  }
}

TEST(SiteMap, WithLayoutsTheOrderOfSitesIsNotCompared) {
  const Observation q = matrix("q#0", {2, 3});
  const Observation k = matrix("k#0", {2, 3}, /*moved=*/1);
  Relation relation;
  const auto of = [&](const Observation& first, const Observation& second) {
    return compare_recordings(recording("a", {q, k}), recording("b", {first, second}), relation);
  };
  EXPECT_TRUE(of(k, q).first->is_out_of_order);
  relation.map = {{{.from = "qkv", .kind = SiteLayout::Kind::kSplit}}, {}};
  EXPECT_TRUE(of(k, q).agrees());
  EXPECT_EQ(of(matrix("k#0", {2, 3}), q).first->site, "k#0");
  EXPECT_EQ(of(k, matrix("v#0", {2, 3})).only_a, 1);
}

TEST(SiteMap, VllmsFusedWeightsOfQwen3MustBeRecordedWithTheMap) {
  const SiteRules rules = load_site_rules(source_path("cases/maps/qwen3-vllm.json"));
  const Json layouts = json_from_site_rules(rules)["layouts"];
  EXPECT_EQ(layouts, json_from_site_rules(load_site_rules(
                         source_path("cases/maps/qwen3-transformers.json")))["layouts"]);
  const SiteMap map(rules);
  for (const char* name :
       {"self_attn.qkv_proj.weight", "self_attn.qkv_proj#0", "self_attn.qkv_proj#in0",
        "mlp.gate_up_proj.weight.grad", "mlp.gate_up_proj#0.grad", "mlp.gate_up_proj.bias"}) {
    const std::string site = std::string("model.layers.3.") + name;
    EXPECT_THROW(map.laid_out(recording("b", {matrix(site, {2, 3})})), InputError) << site;
  }
  for (const char* site : {"model.layers.3.self_attn.q_proj.weight", "model.layers.3.mlp.up_proj#0",
                           "model.layers.3.self_attn.qkv_proj/aten.mm[0]#0"}) {
    const ArmRecording seen = recording("b", {matrix(site, {2, 3})});
    EXPECT_EQ(map.laid_out(seen).ranks[0].observations, seen.ranks[0].observations) << site;
  }
}

TEST(SiteMap, ATensorOfMoreElementsThanThereAreIsRefused) {
  Observation seen = matrix("up#0", {2, 3});
  seen.shape = {int64_t{1} << 40, int64_t{1} << 40};
  EXPECT_THROW(SiteMap(flat("up")).laid_out(recording("a", {seen})), InputError);
}

TEST(SiteMap, TransformersQwen3HasTheNamesOfTorchtitanAndSamebits) {
  const SiteMap map(load_site_rules(source_path("cases/maps/qwen3-transformers.json")));
  const std::vector<std::pair<std::string, std::string>> names = {
      {"model.embed_tokens.weight", "tok_embeddings.weight"},
      {"model.layers.3.input_layernorm.weight", "layers.3.attention_norm.weight"},
      {"model.layers.3.self_attn.q_proj.weight", "layers.3.attention.wq.weight"},
      {"model.layers.3.self_attn.k_proj.weight", "layers.3.attention.wk.weight"},
      {"model.layers.3.self_attn.v_proj.weight", "layers.3.attention.wv.weight"},
      {"model.layers.3.self_attn.o_proj.weight", "layers.3.attention.wo.weight"},
      {"model.layers.3.self_attn.q_norm.weight", "layers.3.attention.q_norm.weight"},
      {"model.layers.3.post_attention_layernorm.weight", "layers.3.ffn_norm.weight"},
      {"model.layers.13.mlp.gate_proj.weight", "layers.13.feed_forward.w1.weight"},
      {"model.layers.13.mlp.down_proj.weight", "layers.13.feed_forward.w2.weight"},
      {"model.layers.13.mlp.up_proj/aten.mm[0]#0", "layers.13.feed_forward.w3/aten.mm[0]#0"},
      {"model.norm.weight", "norm.weight"},
      {"gradient[model.norm.weight]", "gradient[norm.weight]"},
      {"gradient[model.layers.3.mlp.up_proj.weight]", "gradient[layers.3.feed_forward.w3.weight]"},
      {"other.model.norm.weight", "other.model.norm.weight"},
      {"model#0", "Qwen3Model#0"},
      {"lm_head#0", "output#0"},
      {"loss", "loss"}};
  for (const auto& [theirs, ours] : names) EXPECT_EQ(map.renamed(theirs), ours);
}

}  // namespace
}  // namespace samebits
