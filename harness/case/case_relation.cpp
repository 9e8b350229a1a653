#include "harness/case/case_relation.h"

#include <algorithm>
#include <set>

#include "harness/case/case_schema.h"

namespace samebits {
namespace {

// Of relations between arms; "none" is a word of on_policy alone.
Names<Holds> names_between_arms() {
  Names<Holds> names = names_of(Holds());
  std::erase_if(names, [](const auto& each) { return each.second == Holds::kNothing; });
  return names;
}

Relation read_bound(const JsonReader& json, const Names<Holds>& names, bool is_on_policy) {
  Relation relation;
  relation.holds = json.required("holds").one_of(names);
  const BoundKeys bound = bound_keys(relation.holds, is_on_policy);
  std::vector<std::string> known = bound.keys;
  known.insert(known.end(), {"holds", "reason"});
  if (!is_on_policy) known.insert(known.end(), {"arms", "map"});
  json.object(known);
  if (auto key = json.optional("tensors")) {
    relation.tensors = key->one_of(names_of(relation.tensors));
  }
  if (relation.holds == Holds::kUlp) relation.max_ulp = json.required("max_ulp").integer(0);
  if (relation.holds == Holds::kAllclose) {
    relation.rtol = json.required("rtol").number_at_least(0);
    relation.atol = json.required("atol").number_at_least(0);
  }
  if (bound.needs_reason) {
    relation.reason = json.required("reason").non_empty_string();
  } else if (auto key = json.optional("reason")) {
    relation.reason = key->non_empty_string();
  }
  return relation;
}

Json schema_of_key(const std::string& key) {
  if (key == "max_ulp") return {{"type", "integer"}, {"minimum", 0}};
  if (key == "tensors") {
    Json schema = enum_schema(names_of(TensorRule()));
    schema["description"] =
        "A tensor whose digests differ: fails (the default), or is counted as not compared, since "
        "a digest knows no distance.";
    return schema;
  }
  return {{"type", "number"}, {"minimum", 0}};  // rtol, atol
}

// What one word of `holds` allows and demands.
Json bound_schema(Holds holds, bool is_on_policy, const std::string& description) {
  const BoundKeys bound = bound_keys(holds, is_on_policy);
  Json properties;
  Json required = Json::array();
  if (!is_on_policy) {
    properties["arms"] = {
        {"type", "array"},
        {"items", {{"type", "string"}, {"pattern", "^[a-z0-9][a-z0-9_-]{0,63}$"}}},
        {"minItems", 2},
        {"uniqueItems", true}};
    if (holds == Holds::kMustDiverge) properties["arms"]["maxItems"] = 2;
    properties["map"] = {{"$ref", "#/definitions/map"}};
    required.push_back("arms");
  }
  properties["holds"] = {{"const", to_string(holds)}};
  required.push_back("holds");
  for (const std::string& key : bound.keys) {
    properties[key] = schema_of_key(key);
    if (key != "tensors") required.push_back(key);
  }
  properties["reason"] = {{"type", "string"}, {"minLength", 1}};
  if (bound.needs_reason) required.push_back("reason");
  return {{"type", "object"},
          {"additionalProperties", false},
          {"properties", properties},
          {"required", required},
          {"description", description}};
}

}  // namespace

BoundKeys bound_keys(Holds holds, bool is_on_policy) {
  BoundKeys bound;
  if (holds == Holds::kUlp) bound.keys = {"max_ulp"};
  if (holds == Holds::kAllclose) bound.keys = {"rtol", "atol"};
  const bool has_bound = !bound.keys.empty();
  // Logprobs are all scalars, so there is no rule for tensors; whatever parts them must be meant.
  if (has_bound && !is_on_policy) bound.keys.emplace_back("tensors");
  bound.needs_reason = is_on_policy ? holds != Holds::kBitExact : has_bound;
  return bound;
}

Relation read_on_policy(const JsonReader& json) {
  return read_bound(json, names_of(Holds()), /*is_on_policy=*/true);
}

Relation read_relation(const JsonReader& json, const std::vector<std::string>& arms,
                       const std::filesystem::path& folder) {
  Relation relation = read_bound(json, names_between_arms(), /*is_on_policy=*/false);
  if (auto map = json.optional("map")) {
    relation.map = map->value().is_string() ? load_site_rules(folder / map->non_empty_string())
                                            : read_site_rules(*map);
  }
  const JsonReader names = json.required("arms");
  std::set<std::string> seen;
  for (const JsonReader& element : names.array(/*min_size=*/2)) {
    const std::string name = element.string();
    if (std::find(arms.begin(), arms.end(), name) == arms.end()) {
      element.fail("no arm " + quoted(name), JsonReader::one_of_text(arms, name));
    }
    if (!seen.insert(name).second) element.fail(quoted(name) + " a second time", "every arm once");
    relation.arms.push_back(name);
  }
  if (relation.holds == Holds::kMustDiverge && relation.arms.size() != 2) {
    names.fail(std::to_string(relation.arms.size()) + " arms",
               "exactly 2 for must_diverge: the arm and its control");
  }
  return relation;
}

Json json_from_relation(const Relation& relation) {
  Json json = {{"arms", relation.arms}, {"holds", to_string(relation.holds)}};
  if (relation.holds == Holds::kUlp) json["max_ulp"] = relation.max_ulp;
  if (relation.holds == Holds::kAllclose) {
    json["rtol"] = relation.rtol;
    json["atol"] = relation.atol;
  }
  if (relation.tensors != TensorRule::kMustMatch) json["tensors"] = to_string(relation.tensors);
  if (!relation.map.empty()) json["map"] = json_from_site_rules(relation.map);
  if (!relation.reason.empty()) json["reason"] = relation.reason;
  return json;
}

Json relation_schema() {
  return {{"oneOf",
           {bound_schema(Holds::kBitExact, false, "Every observation has the same bits."),
            bound_schema(Holds::kUlp, false, "Scalars at most max_ulp representable values apart."),
            bound_schema(Holds::kAllclose, false, "|a - b| <= atol + rtol * |b|."),
            bound_schema(Holds::kMustDiverge, false,
                         "A negative control: a common observation differs.")}}};
}

Json on_policy_schema() {
  return {
      {"oneOf",
       {bound_schema(Holds::kBitExact, true, "The same bits for every token."),
        bound_schema(Holds::kUlp, true, "At most max_ulp representable values apart."),
        bound_schema(Holds::kAllclose, true, "|generator - trainer| <= atol + rtol * |trainer|."),
        bound_schema(Holds::kMustDiverge, true, "A negative control: a token's logprob differs."),
        bound_schema(Holds::kNothing, true, "Not judged.")}}};
}

}  // namespace samebits
