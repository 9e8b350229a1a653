#include "harness/case/case_schema.h"

#include <cmath>

#include "harness/case/case_keys.h"
#include "harness/case/case_relation.h"
#include "harness/case/fields.h"

namespace samebits {
namespace {

using namespace fields;

constexpr const char* kName = "^[a-z0-9][a-z0-9_-]{0,63}$";
constexpr const char* kVariable = "^[^=]+$";

class SchemaWriter {
 public:
  // Objects become definitions, which several properties may refer to.
  explicit SchemaWriter(Json& definitions) : definitions_(definitions) {}

  template <class T, class Rule>
  void operator()(const Field& field, T& value, const Rule& rule) {
    Json schema = schema_of(field.key, value, rule);
    if (!field.description.empty()) schema["description"] = field.description;
    properties[field.key] = std::move(schema);
    if (field.traits & kRequired) required.push_back(field.key);
  }

  Json properties = Json::object();
  Json required = Json::array();

 private:
  template <class T>
  Json object_of(T& value) {
    SchemaWriter inner(definitions_);
    visit_fields(inner, value);
    Json schema = {
        {"type", "object"}, {"additionalProperties", false}, {"properties", inner.properties}};
    if (!inner.required.empty()) schema["required"] = inner.required;
    return schema;
  }

  template <class T>
  Json schema_of(const std::string&, T&, const Flag&) {
    return {{"type", "boolean"}};
  }
  template <class T>
  Json schema_of(const std::string&, T&, const Integer& rule) {
    return {{"type", "integer"}, {"minimum", rule.min}, {"maximum", rule.max}};
  }
  template <class T>
  Json schema_of(const std::string&, T&, const Number& rule) {
    Json schema = {{"type", "number"}};
    schema[rule.min_included ? "minimum" : "exclusiveMinimum"] = rule.min;
    if (std::isfinite(rule.max)) {
      schema[rule.max_included ? "maximum" : "exclusiveMaximum"] = rule.max;
    }
    return schema;
  }
  template <class T>
  Json schema_of(const std::string&, T&, const Text& rule) {
    if (rule.is_lower_case) return {{"type", "string"}, {"pattern", "^[^A-Z]+$"}};
    return {{"type", "string"}, {"minLength", 1}};
  }
  template <class T>
  Json schema_of(const std::string&, T&, const Path&) {
    return {{"type", "string"}, {"minLength", 1}};
  }
  template <class T>
  Json schema_of(const std::string&, T&, const Variables&) {
    return {{"type", "object"},
            {"propertyNames", {{"pattern", kVariable}}},
            {"additionalProperties", {{"type", "string"}}}};
  }
  template <class T>
  Json schema_of(const std::string&, T&, const Choice<T>& rule) {
    return enum_schema(rule.names);
  }
  template <class T>
  Json schema_of(const std::string&, T&, const Pair& rule) {
    double element = 0;
    return {{"type", "array"},
            {"minItems", 2},
            {"maxItems", 2},
            {"items", schema_of("", element, rule.element)}};
  }
  template <class T, class Rule>
  Json schema_of(const std::string&, std::vector<T>&, const List<Rule>& rule) {
    T element;
    Json schema = {{"type", "array"}};
    if constexpr (std::is_same_v<Rule, Object>) {
      schema["items"] = object_of(element);
    } else {
      schema["items"] = schema_of("", element, rule.element);
    }
    if (rule.min_size > 0) schema["minItems"] = rule.min_size;
    if (rule.is_ascending) schema["uniqueItems"] = true;
    return schema;
  }
  // A reference takes no sibling, so its description stands in a list of one.
  template <class T>
  Json schema_of(const std::string& key, T& value, const Object&) {
    definitions_[key] = object_of(value);
    return {{"allOf", {{{"$ref", "#/definitions/" + key}}}}};
  }
  template <class T>
  Json schema_of(const std::string&, T&, const Symbols& rule) {
    return {{"type", "array"}, {"items", {{"enum", rule.names}}}};
  }
  template <class T>
  Json schema_of(const std::string&, T&, const Sizes& rule) {
    int64_t size = 0;
    Json properties = Json::object();
    for (const std::string& name : rule.names) properties[name] = schema_of("", size, kCount);
    return {{"type", "object"}, {"additionalProperties", false}, {"properties", properties}};
  }
  Json schema_of(const std::string&, SyncSettings& sync, const Sync&) {
    const auto object_with = [](const char* key, const Json& schema) {
      return Json{{"type", "object"},
                  {"additionalProperties", false},
                  {"properties", {{key, schema}}},
                  {"required", Json::array({key})}};
    };
    return {
        {"oneOf",
         {Json{{"enum", {"every", "never"}}}, object_with("late", schema_of("", sync.late, kCount)),
          object_with("except", schema_of("", sync.except, List<Text>{{}, 1}))}}};
  }
  Json schema_of(const std::string& key, std::optional<NumericsSettings>&, const Over& rule) {
    NumericsSettings numerics = rule.base;
    return schema_of(key, numerics, Object{});
  }
  Json schema_of(const std::string& key, SideSettings& side, const Side& rule) {
    SchemaWriter object(definitions_);
    visit_side(object, side, rule);
    return {{"oneOf",
             {schema_of(key, side.execution, rule.modes), Json{{"type", "object"},
                                                               {"additionalProperties", false},
                                                               {"properties", object.properties},
                                                               {"required", object.required}}}}};
  }
  template <class T>
  Json schema_of(const std::string&, T&, const OnPolicy&) {
    return on_policy_schema();
  }

  Json& definitions_;
};

// No arm is run here.
Json has_only_programs() {
  const auto with = [](const char* key) { return Json{{"required", Json::array({key})}}; };
  const Json is_program = {{"anyOf", {with("command"), with("recorded")}}};
  return {{"properties", {{"arms", {{"additionalProperties", is_program}}}}}};
}

}  // namespace

Json case_schema() {
  Json definitions = Json::object();
  SchemaWriter arm(definitions);
  CaseArm value;
  visit_fields(arm, value);
  definitions["arm"] = {
      {"type", "object"}, {"additionalProperties", false}, {"properties", arm.properties}};
  definitions["map"] = site_rules_schema();
  definitions["relation"] = relation_schema();

  Json properties = {
      {"$schema", {{"type", "string"}, {"description", "For editors; says nothing to samebits."}}},
      {"name", {{"type", "string"}, {"pattern", kName}}}};
  for (const Field& field : fields_of<CaseArm>()) {
    if (!(field.traits & kArmOnly)) properties[field.key] = arm.properties[field.key];
  }
  properties["golden"] = {{"enum", {"optional", "required"}},
                          {"description",
                           "required: an arm fails that was not compared with a golden of its "
                           "settings and platform."}};
  properties["arms"] = {
      {"type", "object"},
      {"minProperties", 1},
      {"description",
       "Overrides of any setting, by arm. The first arm is what the others are shown against."},
      {"propertyNames", {{"pattern", kName}, {"not", {{"enum", reserved_arm_names()}}}}},
      {"additionalProperties", {{"$ref", "#/definitions/arm"}}}};
  properties["relations"] = {{"type", "array"}, {"items", {{"$ref", "#/definitions/relation"}}}};
  return {{"$schema", "http://json-schema.org/draft-07/schema#"},
          {"title", "A samebits case"},
          {"description",
           "What is run, in which arms, and what must hold between them. The parser also checks "
           "what a schema cannot say: that relations name arms of the case, that no key stands "
           "twice."},
          {"type", "object"},
          {"additionalProperties", false},
          {"properties", properties},
          {"required", {"name", "arms"}},
          {"anyOf", {Json{{"required", {"model"}}}, has_only_programs()}},
          {"definitions", definitions}};
}

}  // namespace samebits
