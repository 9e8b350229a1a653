#include "harness/case/case.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "tests/support/scratch.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using ::testing::Not;

const char* const kCase = R"({
  "name": "c", "model": "models/tiny", "steps": 3,
  "mesh": {"tp": 2}, "workload": {"group": 4, "optimizer": {"lr": 0.5}},
  "arms": {"eager": {}, "other": {"mesh": {"tp": 4}, "workload": {"optimizer": {"eps": 0.25}},
                                  "generator": "captured", "guards": "drop"}},
  "relations": [{"arms": ["eager", "other"], "holds": "bit_exact"}]})";

// Keys that came after the first goldens, each with a value that says something.
const std::vector<std::pair<std::string, std::string>> kYoungerKeys = {
    {"on_policy", R"(on_policy={"holds":"ulp","max_ulp":3,"reason":"r"})"},
    {"repeats", R"(repeats={"rollouts":"r"})"},
    {"sync", R"(workload.sync="never")"},
    {"sync", R"(workload.sync={"late":2})"},
    {"sync", R"(workload.sync={"except":["norm*"]})"},
    {"draws", R"(workload.draws="same")"},
    {"updates", R"(workload.updates=2)"},
    {"gradient_groups", R"(workload.gradient_groups=2)"},
    {"max_train_tokens", R"(workload.max_train_tokens=64)"},
    {"untied_head", R"(workload.untied_head="trainer")"},
    {"float32_head", R"(numerics.float32_head=true)"},
    {"processed_logprobs", R"(workload.processed_logprobs="generator")"},
    {"prefix_pages", R"(workload.prefix_pages="kept")"},
    {"prompt_padding", R"(workload.prompt_padding="attended")"},
    {"rollouts", R"(workload.rollouts="r.json")"},
    {"kl_reference", R"(workload.loss.kl_reference="initial")"},
    {"normalize", R"(workload.advantage.normalize="batch")"},
    {"state", R"(workload.optimizer={"master":"none","state":"bfloat16"})"},
    {"dynamic", R"(other.generator={"mode":"captured","dynamic":["tokens"]})"},
    {"traced_at", R"(other.trainer={"mode":"captured","traced_at":{"tokens":9}})"},
    {"plant",
     R"(other.plant={"kind":"flip","op":"aten::add","phase":"train","step":1,"call":2,"element":3})"},
    {"package", R"(other.generator={"mode":"aot_inductor","package":"p.pt2"})"}};

Case read(const std::vector<std::string>& overrides = {}) {
  return parse_case(kCase, "cases/c.json", overrides);
}

std::string error_of(const std::vector<std::string>& overrides) {
  return message_of<InputError>([&] { read(overrides); });
}

TEST(ParseCase, ArmsHaveTheCaseSettingsUnderTheirOwn) {
  const Case c = read();
  ASSERT_EQ(c.arms.size(), 2u);
  EXPECT_EQ(c.arms[0].name, "eager");
  EXPECT_EQ(c.arms[0].mesh.tp, 2);
  EXPECT_EQ(c.arms[0].generator.execution, Execution::kEager);
  const CaseArm& other = c.arm("other");
  EXPECT_EQ(other.mesh.tp, 4);
  EXPECT_EQ(other.workload.group, 4);
  EXPECT_EQ(other.workload.optimizer.lr, 0.5);
  EXPECT_EQ(other.workload.optimizer.eps, 0.25);
  EXPECT_EQ(other.workload.optimizer.betas[1], 0.999);
  EXPECT_EQ(other.generator.execution, Execution::kCaptured);
  EXPECT_EQ(other.generator.guards, GuardPolicy::kDrop);
  EXPECT_EQ(other.steps, 3);
  EXPECT_EQ(other.seed, 42);
  EXPECT_EQ(other.workload.prompts.size(), 5u);
}

TEST(ParseCase, ModelIsRelativeToTheCase) {
  EXPECT_EQ(read().arms[0].model, "cases/models/tiny");
  EXPECT_EQ(parse_case(R"({"name": "c", "model": "/m", "arms": {"a": {}}})", "cases/c.json")
                .arms[0]
                .model,
            "/m");
  EXPECT_EQ(read({"other.model=x"}).arm("other").model, std::filesystem::absolute("x"));
  EXPECT_EQ(read({"other.model=x"}).arm("eager").model, "cases/models/tiny");
}

TEST(Overrides, DescendIntoTheCaseAndIntoArms) {
  const Case c = read({"steps=7", "other.steps=8", "numerics.dtype=float32", "other.mesh.tp=8",
                       "workload.optimizer.betas=[0.5, 0.25]", "arms.eager.seed=1",
                       "relations.0.holds=must_diverge"});
  EXPECT_EQ(c.arm("eager").steps, 7);
  EXPECT_EQ(c.arm("other").steps, 8);
  EXPECT_EQ(c.arm("eager").numerics.dtype, Dtype::float32);
  EXPECT_EQ(c.arm("other").mesh.tp, 8);
  EXPECT_EQ(c.arm("eager").workload.optimizer.betas[1], 0.25);
  EXPECT_EQ(c.arm("eager").seed, 1);
  EXPECT_EQ(c.relations[0].holds, Holds::kMustDiverge);
}

TEST(Overrides, BadOnesAreRefused) {
  EXPECT_THAT(error_of({"steps"}), HasSubstr("expected key=value"));
  EXPECT_THAT(error_of({"=1"}), HasSubstr("expected key=value"));
  EXPECT_THAT(error_of({"stpes=1"}), HasSubstr("did you mean \"steps\"?"));
  EXPECT_THAT(error_of({"othr.seed=1"}), HasSubstr("unknown key \"othr\""));
  EXPECT_THAT(error_of({"mesh.ttp=1"}), HasSubstr("did you mean \"tp\"?"));
  EXPECT_THAT(error_of({"steps.x=1"}), HasSubstr("an object"));
  EXPECT_THAT(error_of({"relations.7.holds=ulp"}), HasSubstr("an index below 1"));
  EXPECT_THAT(error_of({"other.mesh.tp=0"}),
              HasSubstr("cases/c.json: arms.other.mesh.tp: found 0"));
  EXPECT_THAT(error_of({"steps={\"a\":1,\"a\":2}"}), HasSubstr("a second time"));
  EXPECT_THAT(error_of({"model=\xff"}), HasSubstr("not UTF-8"));
}

TEST(ParseCase, WhatIsNotThereYetIsRefusedByName) {
  EXPECT_THAT(error_of({"workload.name=ops"}), HasSubstr("(it is not there yet)"));
  EXPECT_THAT(error_of({"eager.trainer=piecewise"}), HasSubstr("nothing to cut for"));
  EXPECT_THAT(error_of({"eager.trainer=full_and_piecewise"}), HasSubstr("under full_graph"));
  EXPECT_THAT(error_of({"eager.trainer=full_graph_always"}), HasSubstr("under full_graph"));
  EXPECT_THAT(error_of({"eager.trainer=persistent"}), HasSubstr("decode steps alone"));
  EXPECT_THAT(error_of({"numerics.platform=sm80"}), HasSubstr("expected \"sm90\""));
}

TEST(ParseCase, BucketsAreAscending) {
  EXPECT_TRUE(read().arms[0].generator.buckets.empty());
  EXPECT_THAT(read({"buckets=[1,8]"}).arm("other").generator.buckets, ElementsAre(1, 8));
  const Case own = read({"buckets=[1,8]", "other.buckets=[3]"});
  EXPECT_THAT(own.arm("eager").generator.buckets, ElementsAre(1, 8));
  EXPECT_THAT(own.arm("other").generator.buckets, ElementsAre(3));

  EXPECT_THAT(error_of({"buckets=[]"}), HasSubstr("cases/c.json: buckets: "));
  EXPECT_THAT(error_of({"buckets=[4,2]"}),
              HasSubstr("buckets.1: found 2 after 4, expected ascending token counts"));
  EXPECT_THAT(error_of({"buckets=[4,4]"}), HasSubstr("found 4 after 4"));
  EXPECT_THAT(error_of({"other.buckets=[0,1]"}), HasSubstr("arms.other.buckets.0: found 0"));
}

TEST(ParseCase, PassesAndSavedGraphsWantAGraph) {
  for (const char* side : {"generator", "trainer"}) {
    for (const char* own : {R"("dynamic": ["tokens"])", R"("traced_at": {"tokens": 8})"}) {
      const std::string object =
          std::string("other.") + side + R"(={"mode": "eager", )" + own + "}";
      EXPECT_THAT(error_of({object}), HasSubstr(std::string("with a ") + side + " that is eager"));
    }
  }
  for (const char* setting : {"other.passes=[\"fuse\"]", "other.graph=g.json"}) {
    EXPECT_THAT(error_of({setting, "other.generator=eager"}),
                HasSubstr("with a generator that is eager, expected generator \"captured\""));
    for (const char* mode : {"captured", "piecewise", "full_graph", "full_graph_always",
                             "full_and_piecewise", "persistent"}) {
      EXPECT_NO_THROW(read({setting, std::string("other.generator=") + mode})) << mode;
    }
  }
}

TEST(ParseCase, ASideSaysWhichSizesAreDynamicAndWhereItIsTraced) {
  const CaseArm arm = read({R"(other.generator={"mode": "captured", "dynamic": ["tokens", "rows"],
                                                "traced_at": {"tokens": 62, "rows": 3}})",
                            R"(other.trainer={"mode": "captured", "dynamic": [],
                                              "traced_at": {"generated": 5}})"})
                          .arm("other");
  EXPECT_THAT(*arm.generator.dynamic, ElementsAre("tokens", "rows"));
  EXPECT_EQ(arm.generator.traced_at.at("tokens"), 62);
  EXPECT_TRUE(arm.trainer.dynamic->empty());
  EXPECT_EQ(arm.trainer.traced_at.at("generated"), 5);
  EXPECT_FALSE(read().arms[0].generator.dynamic.has_value());
  EXPECT_THAT(error_of({R"(other.trainer={"mode": "captured", "dynamic": ["blocks"]})"}),
              HasSubstr("other.trainer.dynamic.0: found \"blocks\", expected one of \"tokens\""));
  EXPECT_THAT(error_of({R"(other.generator={"mode": "captured", "traced_at": {"token": 3}})"}),
              HasSubstr("did you mean \"tokens\"?"));
  EXPECT_THAT(error_of({R"(other.generator={"mode": "captured", "traced_at": {"tokens": 0}})"}),
              HasSubstr("found 0"));
}

TEST(ParseCase, APackageGoesWithAotInductorAlone) {
  const CaseArm arm = read({R"(other.generator={"mode": "aot_inductor", "package": "g.pt2"})",
                            R"(other.trainer={"mode": "aot_inductor", "package": "/t.pt2"})"})
                          .arm("other");
  EXPECT_EQ(arm.generator.execution, Execution::kAotInductor);
  EXPECT_EQ(arm.generator.package, std::filesystem::absolute("g.pt2"));
  EXPECT_EQ(arm.trainer.package, "/t.pt2");
  EXPECT_EQ(optimizer_mode(arm).execution, Execution::kCaptured);
  EXPECT_FALSE(is_contracted(arm));
  EXPECT_THAT(error_of({"other.trainer=aot_inductor"}),
              HasSubstr("arms.other.trainer: found aot_inductor without a package"));
  EXPECT_THAT(error_of({R"(other.generator={"mode": "captured", "package": "g.pt2"})"}),
              HasSubstr("other.generator.package: found a package with mode captured"));
}

TEST(ParseCase, ASideHasAModeOrAnObjectOfItsOwn) {
  const CaseArm arm =
      read({R"(other.generator={"mode": "full_graph", "passes": ["fuse"], "guards": "keep",
                                "graph": "g.json", "buckets": [4],
                                "numerics": {"fused_rounding": true}})",
            R"(other.trainer={"mode": "captured", "passes": ["dead_code"], "guards": "drop"})",
            "numerics.tp_invariant=false"})
          .arm("other");
  EXPECT_EQ(arm.generator.execution, Execution::kFullGraph);
  EXPECT_THAT(arm.generator.passes, ElementsAre(GraphPass::kFuse));
  EXPECT_EQ(arm.generator.guards, GuardPolicy::kKeep);
  EXPECT_EQ(arm.generator.graph, std::filesystem::absolute("g.json"));
  EXPECT_THAT(arm.generator.buckets, ElementsAre(4));
  EXPECT_EQ(arm.trainer.execution, Execution::kCaptured);
  EXPECT_THAT(arm.trainer.passes, ElementsAre(GraphPass::kDeadCode));
  EXPECT_EQ(arm.trainer.guards, GuardPolicy::kDrop);
  // Laid over the arm's, for one side.
  EXPECT_TRUE(arm.numerics_of(arm.generator).fused_rounding);
  EXPECT_FALSE(arm.numerics_of(arm.generator).tp_invariant);
  EXPECT_FALSE(arm.numerics_of(arm.trainer).fused_rounding);
  EXPECT_TRUE(is_contracted(arm));
  EXPECT_FALSE(is_contracted(
      read({R"(other.trainer={"mode": "eager", "numerics": {"batch_invariant": false}})"})
          .arm("other")));
}

TEST(ParseCase, ATrainerReplaysEveryMicroBatchWhole) {
  const CaseArm arm =
      read({R"(other.trainer={"mode": "full_graph", "buckets": [64, 128]})", "buckets=[8]"})
          .arm("other");
  EXPECT_EQ(arm.trainer.execution, Execution::kFullGraph);
  EXPECT_THAT(arm.trainer.buckets, ElementsAre(64, 128));
  EXPECT_THAT(arm.generator.buckets, ElementsAre(8));
  EXPECT_EQ(trainer_mode(arm).execution, Execution::kFullGraphAlways);
  EXPECT_EQ(optimizer_mode(arm).execution, Execution::kFullGraphAlways);
  EXPECT_TRUE(optimizer_mode(arm).buckets.empty());
  EXPECT_TRUE(is_contracted(arm));
  EXPECT_THAT(arm.canonical, HasSubstr("\"buckets\":[64,128]"));
  EXPECT_THAT(error_of({R"(other.trainer={"mode": "captured", "buckets": [8]})"}),
              HasSubstr("trainer.buckets: found [8] with a trainer that is captured"));
}

// Two spellings of one arm are one arm to its golden, and reading what was written changes nothing.
TEST(ParseCase, ASideIsWrittenInOneWay) {
  const auto canonical = [](const std::vector<std::string>& overrides) {
    return read(overrides).arm("other").canonical;
  };
  EXPECT_EQ(canonical({R"(other.generator={"mode": "captured", "passes": ["fuse"]})"}),
            canonical({"other.generator=captured", R"(other.passes=["fuse"])"}));
  EXPECT_EQ(canonical({R"(other.trainer={"mode": "captured"})"}),
            canonical({"other.trainer=captured"}));
  for (const char* side :
       {R"(other.generator={"mode": "eager", "numerics": {"fused_rounding": true}})",
        R"(other.trainer={"mode": "captured", "passes": ["fuse"], "guards": "keep"})"}) {
    const std::string once = canonical({side});
    EXPECT_EQ(with_defaults(once, "x"), once) << side;
    EXPECT_NE(once, canonical({})) << side;
  }
}

TEST(ParseCase, ASideThatCannotBeIsRefused) {
  EXPECT_THAT(error_of({R"(other.generator={"passes": []})"}), HasSubstr("no key \"mode\""));
  EXPECT_THAT(error_of({R"(other.trainer={"mode": "captured", "buckets": [1]})"}),
              HasSubstr("[1] with a trainer that is captured, expected trainer \"full_graph\""));
  EXPECT_THAT(error_of({R"(other.trainer={"mode": "eager", "passes": ["fuse"]})"}),
              HasSubstr("with a trainer that is eager, expected trainer \"captured\""));
  EXPECT_THAT(error_of({R"(other.generator={"mode": "captured", "passes": ["fuse"]})",
                        R"(other.passes=["fuse"])"}),
              HasSubstr("passes in the arm and in its generator"));
  EXPECT_THAT(error_of({R"(other.trainer={"mode": "eager", "numerics": {"dtype": "float32"}})"}),
              HasSubstr("another dtype than the arm's"));
}

TEST(ParseCase, RelationsAreChecked) {
  EXPECT_THAT(error_of({"relations.0.arms.1=othr"}),
              HasSubstr("relations.0.arms.1: found no arm \"othr\", expected one of"));
  EXPECT_THAT(error_of({"relations.0.arms.1=othr"}), HasSubstr("did you mean \"other\"?"));
  EXPECT_THAT(error_of({"relations.0.arms.1=eager"}), HasSubstr("every arm once"));
  EXPECT_THAT(error_of({"relations.0.arms=[\"eager\"]"}), HasSubstr("at least 2"));
  EXPECT_THAT(error_of({"relations.0.holds=ulp"}), HasSubstr("no key \"max_ulp\""));
  EXPECT_THAT(error_of({"relations.0.holds=ulp", "relations.0.max_ulp=1"}),
              HasSubstr("no key \"reason\""));
  EXPECT_THAT(error_of({"relations.0.max_ulp=1"}), HasSubstr("unknown key \"max_ulp\""));
  const Case ulp =
      read({"relations.0.holds=ulp", "relations.0.max_ulp=1", "relations.0.reason=because"});
  EXPECT_EQ(ulp.relations[0].max_ulp, 1);
}

TEST(ParseCase, MustDivergeWantsTwoArms) {
  const char* three = R"({"name": "c", "model": "m", "arms": {"a": {}, "b": {}, "d": {}},
                          "relations": [{"arms": ["a", "b", "d"], "holds": "must_diverge"}]})";
  EXPECT_THAT(message_of<InputError>([&] { parse_case(three, "c.json"); }), HasSubstr("exactly 2"));
}

TEST(ParseCase, WhatHoldsBetweenTheTwoSidesOfAnArm) {
  EXPECT_FALSE(read().arms[0].on_policy);
  const Case c = read({R"(on_policy={"holds": "ulp", "max_ulp": 3, "reason": "r"})"});
  ASSERT_TRUE(c.arms[1].on_policy);
  EXPECT_EQ(c.arms[1].on_policy->holds, Holds::kUlp);
  EXPECT_EQ(c.arms[1].on_policy->max_ulp, 3);
  EXPECT_EQ(
      read({R"(other.on_policy={"holds": "none", "reason": "r"})"}).arm("other").on_policy->holds,
      Holds::kNothing);
  for (const char* bad :
       {R"({"holds": "none"})", R"({"holds": "must_diverge"})", R"({"holds": "ulp", "max_ulp": 3})",
        R"({"holds": "equal"})", R"({"holds": "bit_exact", "max_ulp": 3, "reason": "r"})",
        R"({"holds": "bit_exact", "arms": ["eager"]})",
        R"({"holds": "ulp", "max_ulp": 3, "reason": "r", "tensors": "must_match"})"}) {
    EXPECT_NE(error_of({std::string("on_policy=") + bad}), "") << bad;
  }
  EXPECT_THAT(error_of({"relations.0.holds=none"}), HasSubstr("one of"));
}

TEST(ParseCase, AMapOfSitesIsAListOrAFile) {
  const auto with = [](const std::string& map) {
    return R"({"name": "c", "model": "m", "arms": {"a": {}, "b": {}}, "relations": [
               {"arms": ["a", "b"], "holds": "bit_exact", "map": )" +
           map + "}]}";
  };
  const std::string list = R"([{"from": "^model\\.", "to": ""}])";
  const Case c = parse_case(with(list), "c.json");
  ASSERT_EQ(c.relations[0].map.names.size(), 1u);
  EXPECT_EQ(c.relations[0].map.names[0].from, "^model\\.");
  EXPECT_EQ(parse_case(canonical_json(c), "c.json").relations[0].map.names[0].to, "");
  const std::string folder = source_path("cases/");
  const Case of_file = parse_case(with(R"("maps/qwen3-transformers.json")"), folder + "c.json");
  EXPECT_GT(of_file.relations[0].map.names.size(), 10u);
  for (const char* bad : {"[]", R"([{"from": "a"}])", R"([{"from": "", "to": "b"}])",
                          R"([{"from": "a", "to": "b", "as": "c"}])", "7", R"("none.json")"}) {
    EXPECT_NE(message_of<InputError>([&] { parse_case(with(bad), folder + "c.json"); }), "") << bad;
  }
}

TEST(ParseCase, AMapOfLayoutsStandsBesideItsNames) {
  const auto with = [](const std::string& map) {
    return R"({"name": "c", "model": "m", "arms": {"a": {}, "b": {}}, "relations": [
               {"arms": ["a", "b"], "holds": "bit_exact", "map": )" +
           map + "}]}";
  };
  const auto layouts = [&](const std::string& each) {
    return with(R"({"layouts": [)" + each + "]}");
  };
  const Case c = parse_case(with(R"({"layouts": [
      {"from": "qkv", "layout": "split", "dim": -1, "groups": 2,
       "shares": ["num_attention_heads", 1, 1], "to": ["q", "k", "v"]},
      {"from": "w", "layout": "transpose", "to": "wt"}, {"from": "#", "layout": "flat"},
      {"from": "in", "layout": "copies", "to": ["a", "b"]},
      {"from": "p", "layout": "packed", "by": "positions"},
      {"from": "p", "layout": "padded", "by": "mask"}, {"from": "m", "layout": "unobserved"}],
      "sites": [{"from": "a", "to": "b"}]})"),
                            "c.json");
  for (const Case& each : {c, parse_case(canonical_json(c), "c.json")}) {
    const SiteRules& map = each.relations[0].map;
    ASSERT_EQ(map.layouts.size(), 7u);
    const SiteLayout& split = map.layouts[0];
    EXPECT_EQ(split.dim, -1);
    EXPECT_THAT(split.to, ElementsAre("q", "k", "v"));
    EXPECT_EQ(split.shares[0], SiteLayout::Size("num_attention_heads"));
    EXPECT_EQ(split.shares[1], SiteLayout::Size(int64_t{1}));
    EXPECT_EQ(split.groups, SiteLayout::Size(int64_t{2}));
    EXPECT_THAT(map.layouts[3].to, ElementsAre("a", "b"));
    EXPECT_EQ(map.layouts[5].by, "mask");
    EXPECT_EQ(map.names[0].to, "b");
  }
  for (const auto& [bad, expected] : std::vector<std::pair<std::string, std::string>>{
           {R"({"from": "a", "layout": "fused"})", R"(found "fused", expected one of "split")"},
           {R"({"from": "a"})", "layout"},
           {R"({"from": "", "layout": "flat"})", "from"},
           {R"({"from": "a", "layout": "flat", "dim": 0})", "dim"},
           {R"({"from": "a", "layout": "transpose"})", "to"},
           {R"({"from": "a", "layout": "packed"})", "by"},
           {R"({"from": "a", "layout": "copies", "to": "b"})", "to"},
           {R"({"from": "a", "layout": "split", "dim": 0, "to": ["b", "c"], "shares": [1]})",
            R"(found 1 shares, expected 2, one of each name in "to")"},
           {R"({"from": "a", "layout": "split", "dim": 0, "to": ["b"], "shares": [1]})", "to"},
           {R"({"from": "a", "layout": "split", "dim": 0, "to": ["b", "c"], "shares": [1, 0]})",
            "shares.1"},
           {R"({"from": "a", "layout": "split", "dim": 9, "to": ["b", "c"], "shares": [1, 1]})",
            "dim"},
           {"7", ""},
           {"", "layouts"}}) {
    const std::string found =
        message_of<InputError>([&, each = bad] { parse_case(layouts(each), "c.json"); });
    EXPECT_THAT(found, HasSubstr(expected)) << bad;
    EXPECT_NE(found, "") << bad;
    EXPECT_EQ(found.find('\n'), std::string::npos) << found;
  }
  EXPECT_NE(message_of<InputError>([&] { parse_case(with(R"({"sites": []})"), "c.json"); }), "");
}

TEST(ParseCase, LoopSettings) {
  const WorkloadSettings plain = read().arms[0].workload;
  EXPECT_TRUE(plain.sync.is_whole());
  EXPECT_EQ(plain.updates, 1);
  EXPECT_FALSE(read({"workload.sync=never"}).arms[0].workload.sync.is_on);
  EXPECT_TRUE(read({"workload.sync=every"}).arms[0].workload.sync.is_whole());
  EXPECT_EQ(read({R"(workload.sync={"late": 2})"}).arms[0].workload.sync.late, 2);
  EXPECT_THAT(read({R"(workload.sync={"except": ["norm*"]})"}).arms[0].workload.sync.except,
              ElementsAre("norm*"));
  EXPECT_EQ(read({"workload.draws=same_for_each_prompt"}).arms[0].workload.draws,
            Draws::kSameForEachPrompt);
  EXPECT_EQ(read({"workload.advantage.normalize=batch"}).arms[0].workload.advantage.normalize,
            Normalize::kBatch);
  for (const char* bad :
       {"sync=sometimes", R"(sync={})", R"(sync={"late": 0})", R"(sync={"except": []})",
        R"(sync={"late": 1, "except": ["a"]})", "draws=random", "updates=0", "untied_head=both"}) {
    EXPECT_NE(error_of({std::string("workload.") + bad}), "") << bad;
  }
}

TEST(CanonicalJson, IsACaseOfTheSameMeaning) {
  const Case c = read({"other.seed=3"});
  const std::string text = canonical_json(c);
  EXPECT_EQ(canonical_json(parse_case(text, "cases/c.json")), text);
  EXPECT_NE(canonical_json(read()), text);
  for (const auto& [key, override_text] : kYoungerKeys) {
    SCOPED_TRACE(override_text);
    const std::string young = canonical_json(read({override_text}));
    EXPECT_NE(young, canonical_json(read()));
    EXPECT_EQ(canonical_json(parse_case(young, "cases/c.json")), young);
    EXPECT_THAT(canonical_json(read()), Not(HasSubstr('"' + key + '"')));
  }
  EXPECT_THAT(text, Not(HasSubstr("buckets")));  // younger than the first goldens
  const std::string with_buckets = canonical_json(read({"buckets=[2,4]"}));
  EXPECT_EQ(canonical_json(parse_case(with_buckets, "cases/c.json")), with_buckets);
}

TEST(SettingsDigest, CoversWhatDecidesTheBits) {
  const auto digest = [](const std::vector<std::string>& overrides) {
    return settings_digest(read(overrides).arms[0]);
  };
  EXPECT_EQ(digest({}), digest({"steps=9"}));
  EXPECT_EQ(digest({}), digest({"timeout_s=9"}));
  EXPECT_EQ(digest({}), digest({"other.seed=9"}));
  EXPECT_EQ(digest({}), digest({R"(on_policy={"holds": "none", "reason": "r"})"}));
  EXPECT_EQ(digest({}), digest({R"(repeats={"weights": "r"})"}));
  EXPECT_NE(digest({}), digest({"numerics.float32_head=true"}));
  EXPECT_NE(digest({}), digest({"workload.sync=never"}));
  EXPECT_NE(digest({}), digest({"workload.draws=same"}));
  EXPECT_NE(digest({}), digest({"workload.rollouts=r.json"}));
  EXPECT_NE(digest({}), digest({"workload.processed_logprobs=both"}));
  EXPECT_NE(digest({}), digest({"workload.prefix_pages=kept"}));
  EXPECT_NE(digest({}), digest({"workload.prompt_padding=attended"}));
  EXPECT_EQ(digest({}), digest({"workload.max_train_tokens=64"}));
  const std::string plain = "numerics.batch_invariant=false";
  EXPECT_NE(digest({plain}), digest({plain, "workload.max_train_tokens=64"}));
  for (const char* changed :
       {"seed=9", "mesh.tp=1", "numerics.fused_rounding=true", "model=x", "workload.loss.kl=0.5",
        "workload.gradient_groups=1", "eager.guards=drop", "buckets=[1]",
        R"(eager.plant={"kind":"skip","op":"aten::copy_","phase":"sync"})"}) {
    EXPECT_NE(digest({}), digest({changed})) << changed;
  }
}

TEST(ParseCase, GroupsOfAGradientAreAPowerOfTwo) {
  EXPECT_EQ(read().arms[0].workload.gradient_groups, 8);
  EXPECT_EQ(read({"workload.gradient_groups=1"}).arms[0].workload.gradient_groups, 1);
  EXPECT_EQ(error_of({"workload.gradient_groups=6"}),
            "cases/c.json: workload.gradient_groups: found 6, expected a power of two");
}

TEST(ParseCase, FaultsOfALoopNeedOne) {
  EXPECT_EQ(error_of({"workload.processed_logprobs=both", "workload.temperature=0"}),
            "cases/c.json: workload.processed_logprobs: found temperature 0, expected above 0");
  for (const char* key :
       {"processed_logprobs=trainer", "prefix_pages=kept", "prompt_padding=attended"}) {
    EXPECT_THAT(error_of({"workload.name=decode", std::string("workload.") + key}),
                HasSubstr("of workload decode, expected workload grpo"));
  }
  EXPECT_THAT(error_of({"workload.prefix_pages=kept", "checkpoint_every=1"}),
              HasSubstr("checkpoints of an arm that keeps pages"));
}

TEST(SelectArms, KeepsWhatIsSaidAboutThem) {
  const Case c = read();
  EXPECT_EQ(select_arms(c, {}).arms.size(), 2u);
  const Case one = select_arms(c, {"other"});
  EXPECT_EQ(one.arms.size(), 1u);
  EXPECT_TRUE(one.relations.empty());
  EXPECT_THAT(select_arms(c, {"eager", "other"}).relations[0].arms, ElementsAre("eager", "other"));
  EXPECT_THAT(message_of<InputError>([&] { select_arms(c, {"othr"}); }),
              HasSubstr("did you mean \"other\"?"));
}

TEST(LoadCase, AbsentFileIsRefused) {
  EXPECT_THAT(message_of<InputError>([] { load_case("no/such.json"); }), HasSubstr("no/such.json"));
}

}  // namespace
}  // namespace samebits
