#include "harness/case/site_rules.h"

#include "harness/base/file.h"

namespace samebits {
namespace {

using Kind = SiteLayout::Kind;
using Size = SiteLayout::Size;

// The keys of a layout beside `from` and `layout`; all but `groups` are required.
std::vector<std::string> keys_of_layout(Kind kind) {
  switch (kind) {
    case Kind::kSplit:
      return {"to", "dim", "shares", "groups"};
    case Kind::kCopies:
    case Kind::kTranspose:
      return {"to"};
    case Kind::kPadded:
    case Kind::kPacked:
      return {"by"};
    case Kind::kFlat:
    case Kind::kUnobserved:
      break;
  }
  return {};
}

Size read_size(const JsonReader& json) {
  if (json.value().is_string()) return json.name();
  return json.integer(1);
}

SiteLayout read_layout(const JsonReader& json) {
  // An unknown layout is told before the keys that no known one has.
  json.object(json.value().is_object() ? json.keys() : std::vector<std::string>());
  SiteLayout layout;
  layout.kind = json.required("layout").one_of(names_of(layout.kind));
  std::vector<std::string> known = keys_of_layout(layout.kind);
  known.insert(known.end(), {"from", "layout"});
  json.object(known);
  layout.from = json.required("from").non_empty_string();
  if (layout.kind == Kind::kTranspose) layout.to = {json.required("to").string()};
  if (layout.kind == Kind::kPadded || layout.kind == Kind::kPacked) {
    layout.by = json.required("by").non_empty_string();
  }
  if (layout.kind == Kind::kSplit || layout.kind == Kind::kCopies) {
    for (const JsonReader& name : json.required("to").array(/*min_size=*/2)) {
      layout.to.push_back(name.string());
    }
  }
  if (layout.kind != Kind::kSplit) return layout;
  layout.dim = json.required("dim").integer(-8, 7);
  const JsonReader shares = json.required("shares");
  for (const JsonReader& share : shares.array()) layout.shares.push_back(read_size(share));
  if (layout.shares.size() != layout.to.size()) {
    shares.fail(std::to_string(layout.shares.size()) + " shares",
                std::to_string(layout.to.size()) + ", one of each name in \"to\"");
  }
  if (auto groups = json.optional("groups")) layout.groups = read_size(*groups);
  return layout;
}

std::vector<SiteRule> read_names(const JsonReader& json) {
  std::vector<SiteRule> rules;
  for (const JsonReader& element : json.array(/*min_size=*/1)) {
    element.object({"from", "to"});
    rules.push_back({element.required("from").non_empty_string(), element.required("to").string()});
  }
  return rules;
}

Json json_from_size(const Size& size) {
  return std::visit([](const auto& value) { return Json(value); }, size);
}

Json json_from_layout(const SiteLayout& layout) {
  Json json = {{"from", layout.from}, {"layout", to_string(layout.kind)}};
  if (layout.kind == Kind::kTranspose) json["to"] = layout.to.front();
  if (layout.kind == Kind::kSplit || layout.kind == Kind::kCopies) json["to"] = layout.to;
  if (!layout.by.empty()) json["by"] = layout.by;
  if (layout.kind != Kind::kSplit) return json;
  json["dim"] = layout.dim;
  for (const Size& share : layout.shares) json["shares"].push_back(json_from_size(share));
  if (layout.groups != Size(int64_t{1})) json["groups"] = json_from_size(layout.groups);
  return json;
}

Json text_schema() { return {{"type", "string"}, {"minLength", 1}}; }

Json schema_of_layout_key(const std::string& key, Kind kind) {
  Json size = {{"oneOf", {{{"type", "integer"}, {"minimum", 1}}, text_schema()}}};
  if (key == "dim") return {{"type", "integer"}, {"minimum", -8}, {"maximum", 7}};
  if (key == "shares") return {{"type", "array"}, {"items", size}, {"minItems", 2}};
  if (key == "groups") return size;
  if (key == "by") return text_schema();
  if (kind == Kind::kTranspose) return {{"type", "string"}};
  return {{"type", "array"}, {"items", {{"type", "string"}}}, {"minItems", 2}};  // to
}

Json schema_of_layout(Kind kind) {
  Json properties = {{"from", text_schema()}, {"layout", {{"const", to_string(kind)}}}};
  Json required = Json::array({"from", "layout"});
  for (const std::string& key : keys_of_layout(kind)) {
    properties[key] = schema_of_layout_key(key, kind);
    if (key != "groups") required.push_back(key);
  }
  return {{"type", "object"},
          {"properties", properties},
          {"required", required},
          {"additionalProperties", false}};
}

}  // namespace

const Names<Kind>& names_of(Kind) {
  static const Names<Kind> names = {{"split", Kind::kSplit},          {"copies", Kind::kCopies},
                                    {"transpose", Kind::kTranspose},  {"flat", Kind::kFlat},
                                    {"padded", Kind::kPadded},        {"packed", Kind::kPacked},
                                    {"unobserved", Kind::kUnobserved}};
  return names;
}

SiteRules read_site_rules(const JsonReader& json) {
  SiteRules rules;
  if (!json.value().is_object()) {
    rules.names = read_names(json);
    return rules;
  }
  json.object({"layouts", "sites"});
  for (const JsonReader& each : json.required("layouts").array(/*min_size=*/1)) {
    rules.layouts.push_back(read_layout(each));
  }
  if (auto names = json.optional("sites")) rules.names = read_names(*names);
  return rules;
}

SiteRules load_site_rules(const std::filesystem::path& file) {
  const Json json = parse_json(read_text_file(file.string()), file.string());
  return read_site_rules(JsonReader(json, file.string()));
}

Json json_from_site_rules(const SiteRules& rules) {
  Json names = Json::array();
  for (const SiteRule& rule : rules.names) names.push_back({{"from", rule.from}, {"to", rule.to}});
  if (rules.layouts.empty()) return names;
  Json json = Json::object();
  for (const SiteLayout& each : rules.layouts) json["layouts"].push_back(json_from_layout(each));
  if (!names.empty()) json["sites"] = names;
  return json;
}

Json site_rules_schema() {
  const Json rule = {{"type", "object"},
                     {"properties", {{"from", text_schema()}, {"to", {{"type", "string"}}}}},
                     {"required", Json::array({"from", "to"})},
                     {"additionalProperties", false}};
  const Json names = {{"type", "array"}, {"items", rule}, {"minItems", 1}};
  Json kinds = Json::array();
  for (const auto& [name, kind] : names_of(Kind())) kinds.push_back(schema_of_layout(kind));
  const Json layouts = {{"type", "array"}, {"items", {{"oneOf", kinds}}}, {"minItems", 1}};
  const Json both = {{"type", "object"},
                     {"properties", {{"layouts", layouts}, {"sites", names}}},
                     {"required", Json::array({"layouts"})},
                     {"additionalProperties", false}};
  return {
      {"oneOf", {names, both, text_schema()}},
      {"description",
       "The names that the first arm has for the sites of the others: rules, each a regular "
       "expression that is found in a site and what stands there instead; or these as \"sites\" "
       "beside \"layouts\", in which tensors are observed; or a file of either, absolute or "
       "relative to the case's folder."}};
}

}  // namespace samebits
