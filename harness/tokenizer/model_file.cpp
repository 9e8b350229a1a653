#include "harness/tokenizer/model_file.h"

#include <array>
#include <optional>
#include <unordered_set>

#include "harness/base/text.h"
#include "harness/folder/known_keys.h"
#include "harness/tokenizer/added_tokens.h"
#include "harness/tokenizer/byte_alphabet.h"

namespace samebits {
namespace {

using Ids = std::unordered_map<std::string, uint32_t>;

// These options change the arithmetic of merging; no byte-level tokenizer sets them.
void check_options(const JsonReader& model) {
  check_keys(model, {"tokenizer.json: model"},
             {"type", "dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges",
              "vocab", "merges"});
  // Older files have no type; merges tell a BPE.
  const auto type = model.optional("type");
  if (type && type->string() != "BPE") type->fail(type->shown(), "\"BPE\"");
  const auto dropout = model.optional("dropout");
  if (dropout && !dropout->value().is_null() && dropout->number() != 0) {
    dropout->fail(dropout->shown(), "null (with dropout the ids would be random)");
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto affix = model.optional(key);
    if (affix && !affix->value().is_null() && !affix->string().empty()) {
      affix->fail(affix->shown(), "null or \"\" (byte-level tokens have neither)");
    }
  }
}

Ids read_vocab(const JsonReader& vocab) {
  if (!vocab.value().is_object()) vocab.fail(vocab.shown(), "an object");
  Ids ids;
  std::unordered_set<uint32_t> seen;
  // The values are looked at in place: a reader for each of 150,000 tokens would be slow.
  for (const auto& [name, value] : vocab.value().items()) {
    const bool is_id = value.is_number_unsigned() && value.get<uint64_t>() <= kLargestId;
    if (!is_id) vocab.required(name).integer(0, kLargestId);  // says what is wrong
    const auto id = value.get<uint32_t>();
    if (!seen.insert(id).second) {
      vocab.fail("id " + std::to_string(id) + " a second time, for " + quoted(name),
                 "every id once");
    }
    ids.emplace(name, id);
  }
  return ids;
}

std::array<uint32_t, 256> read_byte_ids(const JsonReader& vocab, const Ids& ids) {
  std::array<uint32_t, 256> byte_ids{};
  for (int byte = 0; byte < 256; ++byte) {
    const std::string name = letters_of_bytes(std::string(1, static_cast<char>(byte)));
    const auto found = ids.find(name);
    if (found == ids.end()) {
      vocab.fail("no token " + quoted(name) + " for byte " + std::to_string(byte),
                 "a token for each of the 256 bytes");
    }
    byte_ids[byte] = found->second;
  }
  return byte_ids;
}

// One merge, "a b" or ["a", "b"].
std::optional<std::pair<std::string, std::string>> pair_of(const Json& merge) {
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
      return std::nullopt;
    }
    return std::pair(text.substr(0, space), text.substr(space + 1));
  }
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::pair(merge[0].get<std::string>(), merge[1].get<std::string>());
  }
  return std::nullopt;
}

Bpe::Merges read_merges(const JsonReader& reader, const Ids& ids) {
  if (!reader.value().is_array()) reader.fail(reader.shown(), "an array");
  Bpe::Merges merges;
  uint32_t rank = 0;
  for (size_t i = 0; i < reader.value().size(); ++i) {
    const Json& merge = reader.value()[i];
    const auto fail = [&](const std::string& found, const std::string& expected) {
      reader.array()[i].fail(found, expected);
    };
    if (merge.is_string() && merge.get_ref<const std::string&>().starts_with("#version")) continue;
    const auto pair = pair_of(merge);
    if (!pair) fail(reader.array()[i].shown(), "\"a b\" or [\"a\", \"b\"]");
    const auto id_of = [&](const std::string& name) {
      const auto found = ids.find(name);
      if (found == ids.end()) fail(quoted(name), "a token of the vocabulary");
      return found->second;
    };
    // The `tokenizers` library reads one form of merges or the other.
    if (merge.type() != reader.value()[0].type()) {
      fail(reader.array()[i].shown(), "a merge written as the first one is");
    }
    const uint64_t key = Bpe::pair_key(id_of(pair->first), id_of(pair->second));
    merges[key] = {rank++, id_of(pair->first + pair->second)};
  }
  return merges;
}

Bpe::Words read_whole_words(const JsonReader& model, const Ids& ids) {
  const auto ignore_merges = model.optional("ignore_merges");
  Bpe::Words words;
  if (!ignore_merges || !ignore_merges->boolean()) return words;
  // A word is looked up by its letters; names with other characters can never be one.
  for (const auto& [name, id] : ids) {
    if (const auto bytes = bytes_of_letters(name)) words.emplace(*bytes, id);
  }
  return words;
}

}  // namespace

ModelFile read_model(const JsonReader& model) {
  check_options(model);
  const JsonReader vocab = model.required("vocab");
  Ids ids = read_vocab(vocab);
  // One after the other: the first fault in the file is the one to report.
  const std::array<uint32_t, 256> byte_ids = read_byte_ids(vocab, ids);
  Bpe::Merges merges = read_merges(model.required("merges"), ids);
  Bpe bpe(byte_ids, std::move(merges), read_whole_words(model, ids));
  return {std::move(ids), std::move(bpe)};
}

}  // namespace samebits
