#pragma once

#include <filesystem>
#include <string>

#include "harness/run/run_case.h"

namespace samebits {

// In the folder of a search that may be cut off and taken up: what was tried (journal.h).
inline constexpr char kJournal[] = "journal.jsonl";

// Makes the folder of a search, `what` for a person ("reduction"): empty, or with what an earlier
// one left where that is taken up. Throws InputError for a folder that holds anything else.
void open_search_folder(const std::filesystem::path& folder, Existing existing,
                        const std::string& what);

}  // namespace samebits
