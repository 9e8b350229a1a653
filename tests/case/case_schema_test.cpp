// The published schema and the parser say the same: every case passes both, every mutant neither.

#include "harness/case/case_schema.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/case/case.h"
#include "harness/case/case_keys.h"
#include "harness/case/case_overrides.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

const std::string kCases = source_path("cases/");

class CaseSchema : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto document = nlohmann::json::parse(read_text_file(kCases + "case.schema.json"));
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(document), schema_);
  }
  bool schema_accepts(const std::string& text) {
    const auto document = nlohmann::json::parse(text);
    valijson::Validator validator;
    return validator.validate(schema_, valijson::adapters::NlohmannJsonAdapter(document), nullptr);
  }
  static bool parser_accepts(const std::string& text) {
    try {
      parse_case(text, "mutant.json");
      return true;
    } catch (const InputError&) {
      return false;
    }
  }

  valijson::Schema schema_;
};

// With SAMEBITS_WRITE_SCHEMA set, the published one is written instead.
TEST_F(CaseSchema, ThePublishedSchemaIsThatOfTheFields) {
  const std::string file = kCases + "case.schema.json";
  const std::string text = case_schema().dump(2) + "\n";
  if (std::getenv("SAMEBITS_WRITE_SCHEMA") != nullptr) write_text_file(file, text);
  EXPECT_EQ(read_text_file(file), text)
      << "to make it so: SAMEBITS_WRITE_SCHEMA=1 build/tests/case/case_test";
}

std::vector<std::filesystem::path> case_files() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(kCases)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".json") && name != "case.schema.json") files.push_back(entry.path());
  }
  return files;
}

TEST_F(CaseSchema, EveryCasePassesSchemaAndParserAndIsNamedAsItsFile) {
  const std::vector<std::filesystem::path> files = case_files();
  EXPECT_GE(files.size(), 5u);
  for (const std::filesystem::path& file : files) {
    EXPECT_TRUE(schema_accepts(read_text_file(file.string()))) << file;
    const Case c = load_case(file);
    EXPECT_EQ(c.name, file.stem().string());
    EXPECT_FALSE(c.relations.empty()) << file;
    EXPECT_TRUE(schema_accepts(canonical_json(c))) << file;
  }
}

// A value set at a key of a good case. Both refuse it.
TEST_F(CaseSchema, BothRefuseEveryMutant) {
  const char* const kMutants[] = {
      "name=\"\"",
      "name=\"Upper\"",
      "name=3",
      "model=\"\"",
      "model=null",
      "seed=-1",
      "seed=1.5",
      "seed=\"42\"",
      "steps=0",
      "steps=1000001",
      "timeout_s=0",
      R"(on_policy={"holds": "none"})",
      R"(on_policy={"holds": "must_diverge"})",
      R"(on_policy={"holds": "ulp", "reason": "r"})",
      R"(on_policy={"holds": "bit_exact", "max_ulp": 1})",
      R"(on_policy={"holds": "ulp", "max_ulp": 1, "reason": "r", "tensors": "must_match"})",
      R"(repeats={"weights": ""})",
      R"(repeats={"draws": "r"})",
      R"(workload.sync="sometimes")",
      R"(workload.sync={})",
      R"(workload.sync={"late": 0})",
      R"(workload.sync={"late": 1, "except": ["a"]})",
      R"(workload.sync={"except": []})",
      R"(workload.draws="random")",
      R"(workload.updates=0)",
      R"(a.plant={"kind": "bend", "op": "aten::add"})",
      R"(a.plant={"kind": "flip", "op": ""})",
      R"(a.plant={"kind": "flip", "op": "aten::add", "bit": 64})",
      R"(workload.loss.kl_reference="first")",
      R"(workload.sequences=0)",
      R"(workload.gradient_groups=0)",
      R"(workload.gradient_groups=2048)",
      R"(workload.max_train_tokens=0)",
      R"(workload.tokens="")",
      R"(workload.rollouts="")",
      R"(workload.untied_head="both")",
      R"(workload.processed_logprobs="raw")",
      R"(workload.prefix_pages="stale")",
      R"(workload.prompt_padding="masked")",
      R"(workload.advantage.normalize="all")",
      "numerics=[]",
      "numerics.platform=\"sm80\"",
      "numerics.dtype=\"float16\"",
      "numerics.attention=\"flsh\"",
      "numerics.batch_invariant=1",
      "numerics.tp_invariant=\"yes\"",
      "numerics.typo=true",
      "mesh.kind=\"mpi\"",
      "mesh.dp=0",
      "mesh.dp=1025",
      "mesh.tp=0",
      "mesh.tp=1025",
      "mesh.pp=2",
      "workload.name=\"ops\"",
      "workload.group=0",
      "workload.max_new_tokens=0",
      "workload.temperature=-0.5",
      "workload.top_k=-1",
      "workload.top_p=0",
      "workload.top_p=1.5",
      "workload.prompts=[]",
      "workload.prompts=[{\"prompt\":\"\",\"answer\":\"a\"}]",
      "workload.prompts=[{\"prompt\":\"p\",\"answer\":\"\"}]",
      "workload.prompts=[{\"prompt\":\"p\",\"answer\":\"Paris\"}]",
      "workload.prompts=[{\"prompt\":\"p\"}]",
      "workload.prompts=[\"p\"]",
      "workload.max_batch_tokens=0",
      "workload.block_size=0",
      "workload.optimizer.lr=-1",
      "workload.optimizer.betas=[0.9]",
      "workload.optimizer.betas=[0.9,1]",
      "workload.optimizer.eps=0",
      "workload.optimizer.weight_decay=-1",
      "workload.optimizer.clip_norm=0",
      "workload.optimizer.master=\"bfloat16\"",
      "workload.loss.clip=-1",
      "workload.loss.beta=1",
      "workload.advantage.temperature=0",
      "workload.advantage.baseline=\"median\"",
      "buckets=[]",
      "buckets=8",
      "buckets=[0,1]",
      "buckets=[1.5]",
      "buckets=[\"1\"]",
      "buckets=[8,8]",
      "arms={}",
      "arms=[]",
      "arms={\"Bad name\":{}}",
      "arms={\"mesh\":{}}",
      "arms={\"trainer\":{}}",
      "arms={\"buckets\":{}}",
      "arms={\"a\":{\"buckets\":[]}}",
      "arms={\"a\":{\"name\":\"x\"}}",
      "arms={\"a\":{\"generator\":\"half_graph\"}}",
      "arms={\"a\":{\"trainer\":\"piecewise\"}}",
      "arms={\"a\":{\"guards\":\"maybe\"}}",
      R"(arms={"a":{"generator":{"passes":[]}}})",
      R"(arms={"a":{"generator":{"mode":"captured","more":1}}})",
      R"(arms={"a":{"trainer":{"mode":"piecewise"}}})",
      R"(arms={"a":{"command":[]}})",
      R"(arms={"a":{"command":"x"}})",
      R"(arms={"a":{"command":["{out}",""]}})",
      R"(arms={"a":{"command":["{out}"],"env":{"A":1}}})",
      R"(arms={"a":{"command":["{out}"],"env":{"A=B":"x"}}})",
      R"(arms={"a":{"command":["{out}"],"repeat":0}})",
      R"(arms={"a":{"recorded":""}})",
      "arms={\"a\":{\"mesh\":{\"tp\":0}}}",
      "relations={}",
      "relations.0.arms=[\"a\"]",
      "relations.0.arms=[\"a\",\"a\"]",
      "relations.0.holds=\"equal\"",
      "relations.0.holds=\"ulp\"",
      "relations.0.holds=\"allclose\"",
      "relations.0.max_ulp=3",
      "relations.0.reason=\"\"",
      "relations.1.arms=[\"a\",\"b\",\"c\"]",
      "relations.2.max_ulp=-1",
      "relations.2.reason=\"\"",
      "relations.3.rtol=-1",
      "relations.3.holds=\"ulp\"",
  };
  const Json good = parse_json(
      R"({"name": "good", "model": "m", "arms": {"a": {}, "b": {"seed": 1}, "c": {}}, "relations": [
          {"arms": ["a", "b"], "holds": "bit_exact"},
          {"arms": ["a", "b"], "holds": "must_diverge"},
          {"arms": ["a", "b"], "holds": "ulp", "max_ulp": 1, "reason": "r"},
          {"arms": ["a", "b"], "holds": "allclose", "rtol": 0, "atol": 0, "reason": "r"}]})",
      "good");
  ASSERT_TRUE(schema_accepts(good.dump()));
  ASSERT_TRUE(parser_accepts(good.dump()));
  for (const char* mutant : kMutants) {
    Json json = good;
    // An arm that goes takes its relations along: the mutant is to fail for its own reason.
    if (std::string(mutant).starts_with("arms=")) json.erase("relations");
    apply_overrides(json, {mutant});
    EXPECT_FALSE(schema_accepts(json.dump())) << mutant;
    EXPECT_FALSE(parser_accepts(json.dump())) << mutant;
  }
}

TEST_F(CaseSchema, BothRefuseUnknownAndMissingTopKeys) {
  for (const char* text : {R"({"name": "a", "model": "m"})", R"({"name": "a", "arms": {"a": {}}})",
                           R"({"name": "a", "arms": {"a": {"recorded": "x"}, "b": {}}})",
                           R"({"model": "m", "arms": {"a": {}}})", R"([])",
                           R"({"name": "a", "model": "m", "arms": {"a": {}}, "level": "op"})"}) {
    EXPECT_FALSE(schema_accepts(text)) << text;
    EXPECT_FALSE(parser_accepts(text)) << text;
  }
}

// Every key that has a default, set to an unusual but good value. Both accept it.
TEST_F(CaseSchema, BothAcceptEveryKey) {
  const char* const text =
      R"({"name": "all-keys_1", "model": "/m", "seed": 0, "steps": 1, "timeout_s": 0.5,
    "numerics": {"platform": "sm90", "dtype": "float32", "attention": "sdpa", "batch_invariant": false,
                 "tp_invariant": false, "fused_rounding": true, "float32_head": true},
    "mesh": {"kind": "local", "tp": 3},
    "workload": {"name": "decode", "group": 1, "max_new_tokens": 1, "temperature": 0, "top_k": 5,
      "top_p": 0.5, "prompts": [{"prompt": "p", "answer": "h2o"}], "max_batch_tokens": 1, "block_size": 1,
      "gradient_groups": 4, "max_train_tokens": 9,
      "optimizer": {"lr": 0, "betas": [0, 0.5], "eps": 1e-12, "weight_decay": 0, "clip_norm": 2,
                    "master": "none"},
      "loss": {"clip": 0, "entropy": 0, "kl": 0}, "advantage": {"temperature": 1, "baseline": "group_mean"}},
    "buckets": [1, 2, 6],
    "arms": {"a": {"generator": "captured", "trainer": "captured", "guards": "drop", "model": "x"},
             "b": {"generator": "full_graph", "passes": ["fuse"], "buckets": [4]},
             "d": {"generator": "piecewise", "passes": ["dead_code"], "graph": "g.json"},
             "r": {"workload": {"name": "grpo", "rollouts": "r.json"}},
             "k": {"plant": {"kind": "swap", "op": "aten::add", "phase": "train", "step": 1, "call": 2, "output": 1,
                             "element": 3, "bit": 4, "rank": 1}},
             "e": {"generator": "persistent"}, "f": {"generator": "full_and_piecewise"},
             "t": {"trainer": {"mode": "full_graph", "buckets": [64, 128]}},
             "h": {"generator": {"mode": "full_graph_always", "dynamic": ["tokens", "rows"],
                                 "traced_at": {"tokens": 62}},
                   "trainer": {"mode": "aot_inductor", "package": "t.pt2", "dynamic": []}},
             "g": {"generator": {"mode": "captured", "passes": ["fuse"], "guards": "drop",
                                 "graph": "g.json", "buckets": [1], "numerics": {"tp_invariant": true}},
                   "trainer": {"mode": "captured", "passes": [], "numerics": {}}}},
    "relations": []})";
  EXPECT_TRUE(schema_accepts(text));
  EXPECT_TRUE(parser_accepts(text));
}

}  // namespace
}  // namespace samebits
