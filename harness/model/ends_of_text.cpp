#include "harness/model/ends_of_text.h"

#include "harness/folder/known_keys.h"
#include "harness/model/config_keys.h"

namespace samebits {
namespace {

constexpr const char* kGeneration = "generation_config.json";

std::vector<int64_t> ends_in(const JsonReader& root, int64_t vocab_size) {
  std::vector<int64_t> ids;
  const auto ends = ConfigKeys(root).find("eos_token_id");
  if (!ends) return ids;
  const auto each = ends->value().is_array() ? ends->array() : std::vector{*ends};
  for (const JsonReader& end : each) {
    if (const auto id = token_id_of(end, vocab_size)) ids.push_back(*id);
  }
  return ids;
}

}  // namespace

std::vector<int64_t> ends_of_text(const std::filesystem::path& folder, const JsonReader& config,
                                  int64_t vocab_size) {
  std::vector<int64_t> in_config = ends_in(config, vocab_size);  // checked in any case
  const std::filesystem::path file = folder / kGeneration;
  if (!std::filesystem::exists(file)) return in_config;
  const Json json = read_json_file(file);
  const JsonReader root(json, file.string());
  check_keys(root, {kGeneration}, {"eos_token_id"});
  return ends_in(root, vocab_size);
}

}  // namespace samebits
