#include "harness/workload/token_ids.h"

#include "harness/base/json.h"

namespace samebits {

std::vector<std::vector<int64_t>> parse_token_ids(std::string_view text, const std::string& file,
                                                  int64_t vocab_size) {
  const Json root = parse_json(text, file);
  const JsonReader reader(root, file);
  if (!root.is_array()) reader.fail(reader.shown(), "a list of lists of token ids");
  std::vector<std::vector<int64_t>> sequences;
  for (const JsonReader& list : reader.array(/*min_size=*/1)) {
    std::vector<int64_t> sequence;
    for (const JsonReader& id : list.array(/*min_size=*/1)) {
      sequence.push_back(id.integer(0, vocab_size - 1));
    }
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

}  // namespace samebits
