#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "repro/catalogue/upstream.h"

namespace samebits {

// A row of the table that `samebits repro upstream` prints and reports/upstream/README.md keeps.
struct UpstreamRow {
  std::string repro;
  UpstreamState state;
};

// As Markdown, the evidence as code.
std::string upstream_table(const std::vector<UpstreamRow>& rows);

// The rows of the first such table in a Markdown file. InputError that names the file, and the line
// of a row that `upstream_table` would not write.
std::vector<UpstreamRow> read_upstream_table(const std::filesystem::path& file);

// What the rows say of one repro, in their order.
std::vector<UpstreamState> states_of(const std::string& repro,
                                     const std::vector<UpstreamRow>& rows);

}  // namespace samebits
