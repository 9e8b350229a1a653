#include "harness/tokenizer/tokenizer_file.h"

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/base/say_once.h"
#include "harness/base/text.h"
#include "harness/folder/known_keys.h"
#include "harness/tokenizer/added_token_table.h"
#include "harness/tokenizer/byte_alphabet.h"
#include "harness/tokenizer/model_file.h"
#include "harness/tokenizer/named_tokens.h"
#include "harness/tokenizer/pipeline_file.h"
#include "harness/tokenizer/qwen2_form.h"
#include "harness/tokenizer/token_names.h"

namespace samebits {
namespace {

bool is_null(const std::optional<JsonReader>& reader) {
  return !reader || reader->value().is_null();
}

void read_added_tokens(AddedTokenTable& table, const std::optional<JsonReader>& reader) {
  if (!reader) return;
  for (const JsonReader& element : reader->array()) {
    element.object({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized", "special"}) {
      element.required(flag);
    }
    AddedToken token = read_added_token(element);
    token.id = static_cast<uint32_t>(element.required("id").integer(0, kLargestId));
    if (table.find(token.content) != nullptr) {
      element.fail(quoted(token.content) + " a second time", "every added token once");
    }
    table.add_with_id(token, element);
  }
}

// Where no class is named, Transformers' AutoTokenizer takes Qwen2Tokenizer, the model's own.
TokenizerClass class_by_default(const JsonReader& tokenizer, bool has_config,
                                const std::optional<OtherThanQwen2>& other,
                                const AddedTokenTable& table) {
  const std::string meanwhile = "where no tokenizer_class is named, Transformers' AutoTokenizer ";
  if (other) {
    say_once(other->where + " is read as it stands; " + meanwhile +
             "puts that of Qwen2Tokenizer in its place");
    return TokenizerClass::kFile;
  }
  if (has_config) return TokenizerClass::kQwen2;
  if (table.find("<|endoftext|>") == nullptr) {
    say_once(tokenizer.where() + ": added_tokens is read as it stands; " + meanwhile +
             "adds \"<|endoftext|>\"");
  }
  return TokenizerClass::kFile;
}

// How Transformers would make the tokenizer.
TokenizerClass class_of(const JsonReader& tokenizer, const JsonReader* config, bool normalizes,
                        const AddedTokenTable& table) {
  const auto name = config != nullptr ? config->optional("tokenizer_class") : std::nullopt;
  const auto prefix = config != nullptr ? config->optional("add_prefix_space") : std::nullopt;
  const bool has_prefix = !is_null(prefix) && prefix->boolean();
  const auto other = other_than_qwen2(tokenizer, normalizes, has_prefix);
  if (is_null(name)) return class_by_default(tokenizer, config != nullptr, other, table);
  const std::string found = name->string();
  if (found == "PreTrainedTokenizerFast" || found == "TokenizersBackend") {
    return TokenizerClass::kFile;
  }
  if (found != "Qwen2Tokenizer" && found != "Qwen2TokenizerFast") {
    name->fail(name->shown(), "\"Qwen2Tokenizer\" or \"PreTrainedTokenizerFast\"");
  }
  if (other) {
    throw InputError(other->where, other->found,
                     "that of Qwen2Tokenizer, which tokenizer_class puts in its place");
  }
  return TokenizerClass::kQwen2;
}

// What each token decodes to. The library looks the decoded form up among the special contents.
void fill_decoded(TokenizerParts& parts, const AddedTokenTable& table) {
  for (const auto& [name, id] : parts.ids) {
    parts.tokens[id].bytes = bytes_of_letters(name).value_or(name);
  }
  for (const AddedToken& token : table.tokens()) {
    const std::string form = table.pattern_of(token);
    parts.tokens[token.id] = {.bytes = bytes_of_letters(form).value_or(form),
                              .special = token.special && form == token.content};
  }
  parts.added_tokens = table.tokens();
}

// The root of a file's JSON; nothing for an absent file.
struct OptionalFile {
  explicit OptionalFile(const std::optional<NamedText>& text) {
    if (!text) return;
    json = parse_json(text->text, text->name);
    reader.emplace(json, text->name);
    reader->keys();  // asserts an object
  }
  OptionalFile(const OptionalFile&) = delete;
  const JsonReader* get() const { return reader ? &*reader : nullptr; }

  Json json;
  std::optional<JsonReader> reader;
};

std::optional<std::string> text_of(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return std::nullopt;
  return read_text_file(file.string());
}

}  // namespace

TokenizerParts read_tokenizer(const NamedText& tokenizer, const std::optional<NamedText>& config,
                              const OlderTokenFiles& older) {
  const Json json = parse_json(tokenizer.text, tokenizer.name);
  const JsonReader reader(json, tokenizer.name);
  check_keys(reader, {"tokenizer.json"},
             {"version", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder",
              "model"});
  const JsonReader version = reader.required("version");
  if (version.string() != "1.0") version.fail(version.shown(), "\"1.0\"");
  for (const char* key : {"truncation", "padding"}) {
    const auto setting = reader.optional(key);
    if (!is_null(setting))
      say_once(setting->where() + " has no effect: no prompt is cut or padded");
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
  check_decoder(reader.required("decoder"));
  AddedTokenTable table(parts.ids, parts.normalizes);
  read_added_tokens(table, reader.optional("added_tokens"));
  const OptionalFile config_file(config), map_file(older.special_tokens_map),
      added_file(older.added_tokens);
  const auto eos = add_named_tokens(table,
                                    {.config = config_file.get(),
                                     .special_tokens_map = map_file.get(),
                                     .added_tokens = added_file.get()},
                                    class_of(reader, config_file.get(), parts.normalizes, table));
  if (eos) parts.eos_id = parts.ids.at(*eos);
  fill_decoded(parts, table);
  const auto post_processor = reader.optional("post_processor");
  if (!is_null(post_processor)) read_post_processor(parts, *post_processor);
  return parts;
}

TokenizerParts read_tokenizer_folder(const std::filesystem::path& folder) {
  const auto path_of = [&](const char* name) { return (folder / name).string(); };
  const std::string text = read_text_file(path_of("tokenizer.json"));
  const auto config = text_of(path_of("tokenizer_config.json"));
  const auto map = text_of(path_of("special_tokens_map.json"));
  const auto added = text_of(path_of("added_tokens.json"));
  const auto named = [&](const std::optional<std::string>& content, const char* name) {
    return content ? std::optional(NamedText{*content, path_of(name)}) : std::nullopt;
  };
  return read_tokenizer({text, path_of("tokenizer.json")}, named(config, "tokenizer_config.json"),
                        {.special_tokens_map = named(map, "special_tokens_map.json"),
                         .added_tokens = named(added, "added_tokens.json")});
}

}  // namespace samebits
