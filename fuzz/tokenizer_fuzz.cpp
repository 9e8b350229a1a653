// A JSON merge patch on a small tokenizer.json, a zero byte, and a text. The tokenizer is refused
// by InputError, or it encodes the text; what it encodes it can decode. A patch, because random
// bytes never are a vocabulary of 256 letters.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/property.h"
#include "harness/base/json.h"
#include "harness/tokenizer/byte_alphabet.h"
#include "harness/tokenizer/tokenizer.h"
#include "harness/tokenizer/tokenizer_file.h"

namespace {

using samebits::Json;

Json make_base() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocab[samebits::letters_of_bytes(std::string(1, static_cast<char>(byte)))] = byte;
  }
  vocab["ab"] = 256;
  vocab["abc"] = 257;
  Json json = Json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null, "normalizer": {"type": "NFC"},
    "added_tokens": [{"id": 258, "content": "<x>", "single_word": false, "lstrip": true,
                      "rstrip": true, "normalized": true, "special": true}],
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "\\p{L}+|\\s+(?!\\S)|\\s+"}, "behavior": "Isolated",
       "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]},
    "post_processor": null, "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "merges": ["a b", ["ab", "c"]]}})");
  json["model"]["vocab"] = vocab;
  return json;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Json base = make_base();
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view patch = input.substr(0, input.find('\0'));
  const std::string_view text = input.substr(std::min(patch.size() + 1, input.size()));
  return samebits::fuzz::reads_or_refuses(data, size, [&](const std::string&) {
    Json json = base;
    json.merge_patch(samebits::parse_json(patch, "patch"));
    const std::string file = json.dump();
    const samebits::Tokenizer tokenizer(
        samebits::read_tokenizer({file, "tokenizer.json"}, samebits::NamedText{patch, "config"}));
    const std::vector<int64_t> ids = tokenizer.encode(text);
    tokenizer.decode(ids, true);
    tokenizer.decode(ids, false);
  });
}
