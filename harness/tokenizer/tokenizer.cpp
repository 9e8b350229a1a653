#include "harness/tokenizer/tokenizer.h"

#include <algorithm>

#include "harness/base/error.h"
#include "harness/tokenizer/nfc.h"
#include "harness/tokenizer/tokenizer_file.h"
#include "harness/tokenizer/utf8.h"

namespace samebits {
namespace {

// The added tokens that are looked for in the raw or in the normalised text.
AddedTokenFinder finder_of(const TokenizerParts& parts, bool normalized) {
  std::vector<std::pair<std::string, AddedToken>> patterns;
  for (const AddedToken& token : parts.added_tokens) {
    if (token.normalized != normalized) continue;
    const bool by_nfc = normalized && parts.normalizes;
    patterns.emplace_back(by_nfc ? nfc(token.content) : token.content, token);
  }
  return AddedTokenFinder(patterns);
}

}  // namespace

Tokenizer::Tokenizer(TokenizerParts parts)
    : parts_(std::move(parts)),
      raw_finder_(finder_of(parts_, /*normalized=*/false)),
      normalized_finder_(finder_of(parts_, /*normalized=*/true)) {
  for (const auto& [id, token] : parts_.tokens) {
    vocab_size_ = std::max(vocab_size_, int64_t{id} + 1);
  }
}

Tokenizer Tokenizer::from_folder(const std::filesystem::path& folder) {
  return Tokenizer(read_tokenizer_folder(folder));
}

std::vector<int64_t> Tokenizer::encode(std::string_view text) const {
  if (const auto offset = find_invalid_utf8(text)) {
    throw InputError("text: byte " + std::to_string(*offset), "bytes that are no UTF-8", "UTF-8");
  }
  std::vector<int64_t> ids = parts_.prefix;
  for (const AddedTokenFinder::Part& raw : raw_finder_.split(text)) {
    if (raw.id) {
      ids.push_back(*raw.id);
      continue;
    }
    const std::string normalized = parts_.normalizes ? nfc(raw.text) : std::string(raw.text);
    for (const AddedTokenFinder::Part& part : normalized_finder_.split(normalized)) {
      if (part.id) {
        ids.push_back(*part.id);
        continue;
      }
      for (const std::string& word : parts_.pre_tokenizer.words_of(part.text)) {
        parts_.bpe.encode(word, ids);
      }
    }
  }
  ids.insert(ids.end(), parts_.suffix.begin(), parts_.suffix.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special) const {
  std::string bytes;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] > UINT32_MAX) {
      throw InputError("token ids: position " + std::to_string(i), "id " + std::to_string(ids[i]),
                       "0 to " + std::to_string(UINT32_MAX));
    }
    const auto token = parts_.tokens.find(static_cast<uint32_t>(ids[i]));
    if (token == parts_.tokens.end()) continue;
    if (!(skip_special && token->second.special)) bytes += token->second.bytes;
  }
  return lossy_utf8(bytes);
}

std::optional<int64_t> Tokenizer::id_of(const std::string& name) const {
  const auto found = parts_.ids.find(name);
  if (found == parts_.ids.end()) return std::nullopt;
  return found->second;
}

}  // namespace samebits
