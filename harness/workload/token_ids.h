#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace samebits {

// A file of token ids: JSON, a list of lists of ids below `vocab_size`, none of them empty. Throws
// InputError that names `file` and the place.
std::vector<std::vector<int64_t>> parse_token_ids(std::string_view text, const std::string& file,
                                                  int64_t vocab_size);

}  // namespace samebits
