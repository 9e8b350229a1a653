#pragma once

#include <filesystem>
#include <string>

namespace samebits {

// The catalogue as the Markdown table that repro/README.md holds, with links that are relative to
// it. `root` is the checkout: what torch says comes from its reports/upstream/README.md. Which
// detectors find a repro is found out by running them. InputError as of `read_upstream_table`.
std::string catalogue_table(const std::filesystem::path& root);

}  // namespace samebits
