#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "harness/base/error.h"
#include "harness/logs/json_row.h"
#include "harness/logs/log_text.h"
#include "harness/logs/readers.h"

namespace samebits {
namespace {

// Reads a path of a leaf, "choices[0].logprobs.tokens[3]", from its beginning.
class PathCursor {
 public:
  explicit PathCursor(std::string_view path) : left_(path) {}

  bool take(std::string_view text) {
    if (!left_.starts_with(text)) return false;
    left_.remove_prefix(text.size());
    return true;
  }
  // "[3]"
  bool take_index(int64_t& index) {
    if (!left_.starts_with('[')) return false;
    const auto [end, error] = std::from_chars(left_.data() + 1, left_.data() + left_.size(), index);
    const auto size = static_cast<size_t>(end - left_.data());
    if (error != std::errc() || size >= left_.size() || left_[size] != ']') return false;
    left_.remove_prefix(size + 1);
    return true;
  }
  // The name up to the next dot: a token's id.
  std::string_view take_name() {
    const std::string_view name = left_.substr(0, left_.find('.'));
    left_.remove_prefix(name.size());
    return name;
  }
  bool is_at_end() const { return left_.empty(); }

 private:
  std::string_view left_;
};

// The site of a leaf of a response; "" for what is none: usage, times, the alternatives of a token.
std::string site_of(PathCursor path) {
  int64_t choice = 0;
  int64_t token = 0;
  const bool is_of_choice = path.take("choices");
  if (is_of_choice && (!path.take_index(choice) || !path.take("."))) return "";
  const auto indexed = [&](const char* name) {
    return std::string(name) + "[" + std::to_string(choice) + "," + std::to_string(token) + "]";
  };
  const auto site = [&](const char* name) { return path.is_at_end() ? indexed(name) : ""; };
  // vLLM's, of a choice or, from a chat, of the response.
  if (path.take("prompt_logprobs") && path.take_index(token) && path.take(".")) {
    const std::string_view id = path.take_name();
    if (!path.take(".logprob") || !path.is_at_end()) return "";
    return indexed("prompt_logprob") + "." + std::string(id);
  }
  if (path.take("prompt_token_ids") && path.take_index(token)) return site("prompt_token_id");
  if (!is_of_choice) return "";
  if (path.take("token_ids") && path.take_index(token)) return site("token_id");
  if (!path.take("logprobs.")) return "";
  if (path.take("token_logprobs") && path.take_index(token)) return site("logprob");
  if (path.take("tokens") && path.take_index(token)) return site("token");
  if (path.take("content") && path.take_index(token)) {  // of a chat
    if (path.take(".logprob")) return site("logprob");
    if (path.take(".token")) return site("token");
  }
  return "";
}

// Which choice a leaf of a response is of; nullopt for what is of none.
std::optional<int64_t> choice_of(PathCursor path) {
  int64_t choice = 0;
  const bool is_of_choice = path.take("choices") && path.take_index(choice);
  return is_of_choice ? std::optional(choice) : std::nullopt;
}

// A response in a list of them, or in a line of OpenAI's batches.
PathCursor path_in_response(const std::string& path, int64_t& step) {
  PathCursor cursor(path);
  if (cursor.take_index(step)) cursor.take(".");
  cursor.take("response.body.");
  return cursor;
}

void add_document(LogBuilder& log, std::string_view text, int64_t step, size_t place) {
  std::map<std::pair<int64_t, int64_t>, bool> is_read;  // by step and choice
  for (const JsonLeaf& leaf : json_leaves(text, log.where(place))) {
    const PathCursor path = path_in_response(leaf.path, step);
    const std::string name = site_of(path);
    if (const auto choice = choice_of(path)) {
      is_read[{step, *choice}] |= !name.empty() && !name.starts_with("prompt");
    }
    if (name.empty()) continue;
    const size_t site = log.site(name, place);
    // A token may read "inf" or "nan", and is a text all the same.
    const bool is_token = name.starts_with("token[") && !leaf.text.empty();
    switch (is_token ? JsonLeaf::Kind::kOther : leaf.kind) {
      case JsonLeaf::Kind::kNumber:
        log.add(step, site, leaf.number, place);
        break;
      case JsonLeaf::Kind::kHugeNumber:
        log.refuse_number(site, place);
        break;
      case JsonLeaf::Kind::kOther:  // two answers of other tokens are not the same
        log.add_tensor(step, site, Dtype::uint8, {static_cast<int64_t>(leaf.text.size())},
                       leaf.text.data(), place);
    }
  }
  for (const auto& [at, is_choice_read] : is_read) {
    if (!is_choice_read)
      log.add_text(log.site("choice[" + std::to_string(at.second) + "]", place), place);
  }
}

}  // namespace

Log read_completions(const LogInput& input) {
  LogBuilder log(input.file, input.settings);
  check_encoding(input.bytes, input.file);
  // A document that is laid out for people has no object behind another one.
  const bool is_lines =
      input.file.ends_with(".jsonl") || input.bytes.find("}\n{") != std::string_view::npos;
  if (!is_lines) {
    add_document(log, input.bytes, /*step=*/0, /*place=*/1);
    return log.finish("completions");
  }
  int64_t step = 0;
  LineCursor lines(input.bytes);
  for (std::string_view line; lines.next(line);) {
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    add_document(log, line, step++, lines.number());
  }
  return log.finish("completions");
}

}  // namespace samebits
