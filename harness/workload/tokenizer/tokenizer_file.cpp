#include "harness/workload/tokenizer/tokenizer_file.h"

#include <algorithm>
#include <set>

#include "harness/core/error.h"
#include "harness/core/file.h"
#include "harness/core/json.h"
#include "harness/core/text.h"
#include "harness/workload/tokenizer/byte_alphabet.h"
#include "harness/workload/tokenizer/model_file.h"
#include "harness/workload/tokenizer/nfc.h"

namespace samebits {
namespace {

using Behavior = PreTokenizer::Behavior;
constexpr int64_t kLargestId = (int64_t{1} << 31) - 1;

bool is_null(const std::optional<JsonReader>& reader) {
  return !reader || reader->value().is_null();
}

// The `type` of a component, an object.
std::string type_of(const JsonReader& reader) { return reader.required("type").string(); }

[[noreturn]] void refuse_type(const JsonReader& reader, const std::string& expected) {
  reader.fail("type " + quoted(type_of(reader)), expected);
}

bool reads_normalizer(const std::optional<JsonReader>& reader) {
  if (is_null(reader)) return false;
  if (type_of(*reader) != "NFC") refuse_type(*reader, "\"NFC\" or null");
  reader->object({"type"});
  return true;
}

PreTokenizer::Split read_split(const JsonReader& reader) {
  reader.object({"type", "pattern", "behavior", "invert"});
  const JsonReader pattern = reader.required("pattern");
  pattern.object({"Regex", "String"});
  std::string expression;
  if (const auto regex = pattern.optional("Regex")) {
    expression = regex->string();
  } else {
    for (const char c : pattern.required("String").non_empty_string()) {
      if (std::string_view("\\.+*?()|[]{}^$#&-~").find(c) != std::string_view::npos) {
        expression += '\\';
      }
      expression += c;
    }
  }
  return {Regex(expression, pattern.where()),
          reader.required("behavior")
              .one_of<Behavior>({{"Removed", Behavior::removed},
                                 {"Isolated", Behavior::isolated},
                                 {"MergedWithPrevious", Behavior::merged_with_previous},
                                 {"MergedWithNext", Behavior::merged_with_next},
                                 {"Contiguous", Behavior::contiguous}}),
          reader.required("invert").boolean()};
}

PreTokenizer read_pre_tokenizer(const JsonReader& reader) {
  std::vector<JsonReader> steps{reader};
  if (type_of(reader) == "Sequence") {
    reader.object({"type", "pretokenizers"});
    steps = reader.required("pretokenizers").array(/*min_size=*/1);
  }
  const JsonReader byte_level = steps.back();
  steps.pop_back();
  std::vector<PreTokenizer::Split> splits;
  for (const JsonReader& step : steps) {
    if (type_of(step) != "Split") refuse_type(step, "\"Split\", before a last \"ByteLevel\"");
    splits.push_back(read_split(step));
  }
  if (type_of(byte_level) != "ByteLevel") {
    refuse_type(byte_level, "\"ByteLevel\", or a \"Sequence\" that ends with it");
  }
  byte_level.object({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  const auto use_regex = byte_level.optional("use_regex");
  std::optional<Regex> last;
  if (!use_regex || use_regex->boolean()) last.emplace(kGpt2Pattern, byte_level.where());
  return PreTokenizer(std::move(splits), byte_level.required("add_prefix_space").boolean(),
                      std::move(last));
}

void check_decoder(const JsonReader& reader) {
  if (reader.value().is_null()) reader.fail("null", "a \"ByteLevel\" decoder");
  if (type_of(reader) != "ByteLevel") refuse_type(reader, "\"ByteLevel\"");
}

AddedToken read_added_token(const JsonReader& reader, uint32_t id) {
  AddedToken token;
  token.id = id;
  token.content = reader.required("content").non_empty_string();
  token.single_word = reader.required("single_word").boolean();
  token.lstrip = reader.required("lstrip").boolean();
  token.rstrip = reader.required("rstrip").boolean();
  token.normalized = reader.required("normalized").boolean();
  token.special = reader.required("special").boolean();
  return token;
}

// Adds a token to the vocabulary. The `tokenizers` library ignores an added token's `id`: it takes
// the vocabulary's for a known content and the next free number for a new one. A file where that
// gives another id than it says would be read differently by everyone, so it is refused.
void add_token(TokenizerParts& parts, const AddedToken& token, uint32_t& next_id,
               const JsonReader& reader) {
  const auto [entry, is_new] = parts.ids.try_emplace(token.content, next_id);
  if (token.id != entry->second) {
    reader.fail("id " + std::to_string(token.id) + " for " + quoted(token.content),
                std::to_string(entry->second) + ", the id that the vocabulary gives it");
  }
  if (is_new) ++next_id;
  const std::string form =
      token.normalized && parts.normalizes ? nfc(token.content) : token.content;
  TokenizerParts::Token& decoded = parts.tokens[token.id];
  decoded.bytes = bytes_of_letters(form).value_or(form);
  // The library looks the decoded form up among the special contents.
  decoded.special = token.special && form == token.content;
  parts.added_tokens.push_back(token);
}

void read_added_tokens(TokenizerParts& parts, const std::optional<JsonReader>& reader,
                       uint32_t& next_id) {
  if (!reader) return;
  std::set<std::pair<bool, std::string>> patterns;
  std::set<std::string> contents;
  for (const JsonReader& element : reader->array()) {
    element.object({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    const auto id = static_cast<uint32_t>(element.required("id").integer(0, kLargestId));
    const AddedToken token = read_added_token(element, id);
    const std::string pattern =
        token.normalized && parts.normalizes ? nfc(token.content) : token.content;
    if (!contents.insert(token.content).second ||
        !patterns.emplace(token.normalized, pattern).second) {
      element.fail(quoted(token.content) + " a second time", "every added token once");
    }
    add_token(parts, token, next_id, element);
  }
}

// `single` of a TemplateProcessing: special tokens before and after the one sequence.
void read_template(TokenizerParts& parts, const JsonReader& reader) {
  reader.object({"type", "single", "pair", "special_tokens"});
  const JsonReader special_tokens = reader.required("special_tokens");
  std::vector<int64_t> before, after;
  bool seen_sequence = false;
  const JsonReader single = reader.required("single");
  for (const JsonReader& piece : single.array()) {
    piece.object({"Sequence", "SpecialToken"});
    if (const auto sequence = piece.optional("Sequence")) {
      if (sequence->required("id").string() != "A" || seen_sequence) {
        single.fail("sequences other than one \"A\"", "exactly one \"A\"");
      }
      seen_sequence = true;
      continue;
    }
    const std::string name = piece.required("SpecialToken").required("id").string();
    for (const JsonReader& id : special_tokens.required(name).required("ids").array()) {
      const int64_t value = id.integer(0, kLargestId);
      if (!parts.tokens.contains(static_cast<uint32_t>(value))) {
        id.fail(std::to_string(value), "an id of the vocabulary");
      }
      (seen_sequence ? after : before).push_back(value);
    }
  }
  if (!seen_sequence) single.fail("no sequence", "exactly one \"A\"");
  parts.prefix.insert(parts.prefix.begin(), before.begin(), before.end());
  parts.suffix.insert(parts.suffix.end(), after.begin(), after.end());
}

void read_post_processor(TokenizerParts& parts, const JsonReader& reader) {
  const std::string type = type_of(reader);
  if (type == "Sequence") {
    reader.object({"type", "processors"});
    for (const JsonReader& step : reader.required("processors").array()) {
      if (type_of(step) == "Sequence") refuse_type(step, "a step that is no sequence itself");
      read_post_processor(parts, step);
    }
  } else if (type == "TemplateProcessing") {
    read_template(parts, reader);
  } else if (type != "ByteLevel") {  // which moves offsets, not ids
    refuse_type(reader, "\"ByteLevel\", \"TemplateProcessing\", \"Sequence\" or null");
  }
}

void read_config(TokenizerParts& parts, const JsonReader& config, uint32_t& next_id) {
  if (const auto entries = config.optional("added_tokens_decoder")) {
    std::vector<std::pair<uint32_t, JsonReader>> sorted;
    for (const std::string& key : entries->keys()) {
      const bool is_number =
          !key.empty() && key.size() < 10 &&
          std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (!is_number) entries->fail("key " + quoted(key), "a token id");
      sorted.emplace_back(static_cast<uint32_t>(std::stoul(key)), entries->required(key));
    }
    std::sort(sorted.begin(), sorted.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [id, entry] : sorted) {
      const AddedToken token = read_added_token(entry, id);
      const auto same_content = [&](const AddedToken& other) {
        return other.content == token.content;
      };
      if (std::none_of(parts.added_tokens.begin(), parts.added_tokens.end(), same_content)) {
        add_token(parts, token, next_id, entry);
      } else if (parts.ids.at(token.content) != id) {
        entry.fail(quoted(token.content), "the id that tokenizer.json gives it, " +
                                              std::to_string(parts.ids.at(token.content)));
      }
    }
  }
  const auto eos = config.optional("eos_token");
  if (is_null(eos)) return;
  const std::string name =
      eos->value().is_object() ? eos->required("content").string() : eos->string();
  const auto id = parts.ids.find(name);
  if (id == parts.ids.end()) eos->fail(quoted(name), "a token of the vocabulary");
  parts.eos_id = id->second;
}

}  // namespace

TokenizerParts read_tokenizer(const NamedText& tokenizer, const std::optional<NamedText>& config) {
  const Json json = parse_json(tokenizer.text, tokenizer.name);
  const JsonReader reader(json, tokenizer.name);
  reader.object({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                 "post_processor", "decoder", "model"});
  const JsonReader version = reader.required("version");
  if (version.string() != "1.0") version.fail(version.shown(), "\"1.0\"");
  for (const char* key : {"truncation", "padding"}) {
    const auto setting = reader.optional(key);
    if (!is_null(setting)) setting->fail(setting->shown(), "null");
  }

  ModelFile model = read_model(reader.required("model"));
  TokenizerParts parts{.normalizes = reads_normalizer(reader.optional("normalizer")),
                       .added_tokens = {},
                       .pre_tokenizer = read_pre_tokenizer(reader.required("pre_tokenizer")),
                       .bpe = std::move(model.bpe),
                       .ids = std::move(model.ids),
                       .tokens = {},
                       .prefix = {},
                       .suffix = {},
                       .eos_id = {}};
  for (const auto& [name, id] : parts.ids) {
    parts.tokens[id].bytes = bytes_of_letters(name).value_or(name);
  }
  check_decoder(reader.required("decoder"));
  auto next_id = static_cast<uint32_t>(parts.ids.size());
  read_added_tokens(parts, reader.optional("added_tokens"), next_id);
  const auto post_processor = reader.optional("post_processor");
  if (!is_null(post_processor)) read_post_processor(parts, *post_processor);
  if (config) {
    const Json config_json = parse_json(config->text, config->name);
    read_config(parts, JsonReader(config_json, config->name), next_id);
  }
  return parts;
}

TokenizerParts read_tokenizer_folder(const std::filesystem::path& folder) {
  const std::string name = (folder / "tokenizer.json").string();
  const std::string text = read_text_file(name);
  const std::filesystem::path config = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(config)) return read_tokenizer({text, name}, std::nullopt);
  const std::string config_text = read_text_file(config.string());
  return read_tokenizer({text, name}, NamedText{config_text, config.string()});
}

}  // namespace samebits
