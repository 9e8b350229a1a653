#include "harness/tokenizer/qwen2_form.h"

namespace samebits {
namespace {

constexpr const char* kPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json pre_tokenizer(bool add_prefix_space) {
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kPattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"use_regex", false}};
  return {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level})}};
}

// In one order of keys, without what moves offsets alone.
nlohmann::json plain(const Json& value) {
  nlohmann::json sorted = nlohmann::json::parse(value.dump());
  if (sorted.contains("pretokenizers")) {
    for (nlohmann::json& step : sorted["pretokenizers"]) {
      if (step.is_object()) step.erase("trim_offsets");
    }
  }
  return sorted;
}

}  // namespace

std::optional<OtherThanQwen2> other_than_qwen2(const JsonReader& tokenizer, bool normalizes,
                                               bool add_prefix_space) {
  if (!normalizes) {
    const auto value = tokenizer.optional("normalizer");
    return OtherThanQwen2{.where = tokenizer.where() + ": normalizer",
                          .found = value ? value->shown() : "nothing"};
  }
  const JsonReader steps = tokenizer.required("pre_tokenizer");
  if (plain(steps.value()) != plain(pre_tokenizer(add_prefix_space))) {
    return OtherThanQwen2{.where = steps.where(), .found = steps.shown()};
  }
  const auto ignore_merges = tokenizer.required("model").optional("ignore_merges");
  if (ignore_merges && ignore_merges->value() != false) {
    return OtherThanQwen2{.where = ignore_merges->where(), .found = ignore_merges->shown()};
  }
  return std::nullopt;
}

}  // namespace samebits
