#include "harness/tokenizer/pipeline_file.h"

#include "harness/base/text.h"
#include "harness/folder/known_keys.h"

namespace samebits {
namespace {

using Behavior = PreTokenizer::Behavior;

// The `type` of a component, an object.
std::string type_of(const JsonReader& reader) { return reader.required("type").string(); }

[[noreturn]] void refuse_type(const JsonReader& reader, const std::string& expected) {
  reader.fail("type " + quoted(type_of(reader)), expected);
}

PreTokenizer::Split read_split(const JsonReader& reader) {
  reader.object({"type", "pattern", "behavior", "invert"});
  const JsonReader pattern = reader.required("pattern");
  pattern.object({"Regex", "String"});
  if (pattern.value().size() != 1) pattern.fail(pattern.shown(), "\"Regex\" or \"String\"");
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

// Digits as the `tokenizers` library knows them: Rust's char::is_numeric, one by one or in runs.
PreTokenizer::Split read_digits(const JsonReader& reader) {
  reader.object({"type", "individual_digits"});
  const bool each = reader.required("individual_digits").boolean();
  return {Regex("\\p{N}", reader.where()), each ? Behavior::isolated : Behavior::contiguous, false};
}

// `single` of a TemplateProcessing: special tokens before and after the one sequence.
void read_template(TokenizerParts& parts, const JsonReader& reader) {
  check_keys(reader, {"tokenizer.json: TemplateProcessing"}, {"type", "single", "special_tokens"});
  const JsonReader special_tokens = reader.required("special_tokens");
  std::vector<int64_t> before, after;
  bool seen_sequence = false;
  const JsonReader single = reader.required("single");
  for (const JsonReader& piece : single.array()) {
    piece.object({"Sequence", "SpecialToken"});
    if (const auto sequence = piece.optional("Sequence")) {
      check_keys(*sequence, {"tokenizer.json: template piece"}, {"id"});
      if (sequence->required("id").string() != "A" || seen_sequence) {
        single.fail("sequences other than one \"A\"", "exactly one \"A\"");
      }
      seen_sequence = true;
      continue;
    }
    const JsonReader special = piece.required("SpecialToken");
    check_keys(special, {"tokenizer.json: template piece"}, {"id"});
    const JsonReader ids = special_tokens.required(special.required("id").string());
    check_keys(ids, {"tokenizer.json: template token"}, {"ids"});
    for (const JsonReader& id : ids.required("ids").array()) {
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

}  // namespace

bool reads_normalizer(const std::optional<JsonReader>& reader) {
  if (!reader || reader->value().is_null()) return false;
  if (type_of(*reader) == "Sequence") {
    reader->object({"type", "normalizers"});
    bool normalizes = false;
    for (const JsonReader& step : reader->required("normalizers").array()) {
      if (type_of(step) == "Sequence") refuse_type(step, "a step that is no sequence itself");
      normalizes = reads_normalizer(step) || normalizes;
    }
    return normalizes;
  }
  if (type_of(*reader) != "NFC") refuse_type(*reader, "\"NFC\" or null");
  reader->object({"type"});
  return true;
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
    if (type_of(step) == "Digits") {
      splits.push_back(read_digits(step));
    } else if (type_of(step) == "Split") {
      splits.push_back(read_split(step));
    } else {
      refuse_type(step, "\"Split\" or \"Digits\", before a last \"ByteLevel\"");
    }
  }
  if (type_of(byte_level) != "ByteLevel") {
    refuse_type(byte_level, "\"ByteLevel\", or a \"Sequence\" that ends with it");
  }
  check_keys(byte_level, {"tokenizer.json: ByteLevel"}, {"type", "add_prefix_space", "use_regex"});
  const auto use_regex = byte_level.optional("use_regex");
  std::optional<Regex> last;
  if (!use_regex || use_regex->boolean()) last.emplace(kGpt2Pattern, byte_level.where());
  return PreTokenizer(std::move(splits), byte_level.required("add_prefix_space").boolean(),
                      std::move(last));
}

void check_decoder(const JsonReader& reader) {
  if (reader.value().is_null()) reader.fail("null", "a \"ByteLevel\" decoder");
  if (type_of(reader) == "Sequence") {
    reader.object({"type", "decoders"});
    const std::vector<JsonReader> steps = reader.required("decoders").array(/*min_size=*/1);
    if (steps.size() != 1) reader.fail(std::to_string(steps.size()) + " decoders", "one");
    if (type_of(steps[0]) == "Sequence") refuse_type(steps[0], "\"ByteLevel\"");
    return check_decoder(steps[0]);
  }
  if (type_of(reader) != "ByteLevel") refuse_type(reader, "\"ByteLevel\"");
  check_keys(reader, {"tokenizer.json: ByteLevel after the model"}, {"type"});
}

void read_post_processor(TokenizerParts& parts, const JsonReader& reader) {
  const std::string type = type_of(reader);
  if (type == "Sequence") {
    reader.object({"type", "processors"});
    bool has_template = false;
    for (const JsonReader& step : reader.required("processors").array()) {
      if (type_of(step) == "Sequence") refuse_type(step, "a step that is no sequence itself");
      if (type_of(step) == "TemplateProcessing") {
        // The `tokenizers` library keeps one of two.
        if (has_template) refuse_type(step, "one \"TemplateProcessing\" in a sequence");
        has_template = true;
      }
      read_post_processor(parts, step);
    }
  } else if (type == "TemplateProcessing") {
    read_template(parts, reader);
  } else if (type == "ByteLevel") {
    check_keys(reader, {"tokenizer.json: ByteLevel after the model"}, {"type"});
  } else {
    refuse_type(reader, "\"ByteLevel\", \"TemplateProcessing\", \"Sequence\" or null");
  }
}

}  // namespace samebits
