#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "repro/catalogue/catalogue.h"
#include "repro/catalogue/upstream.h"

namespace samebits {

// What torches say of a repro, and how that is known.
struct Actual {
  std::string source;  // "asked when this folder was written"
  std::vector<UpstreamState> states;
  std::string versions;  // collected_versions() of the torch that was asked; empty: none was
};

// Writes a folder that shows the bug without samebits: upstream.py, and a README.md with the text
// of issue.md, the one command, what torch should say and does say, links and versions. `folder` is
// that of the repro, which has an upstream.py. InputError where `out` is a file or a folder that
// holds something.
void write_bundle(const Repro& repro, const std::filesystem::path& folder, const Actual& actual,
                  const std::filesystem::path& out);

// The sections of Markdown that end what is sent upstream: the links, what torch's collect_env said
// (empty: the command that asks it, for whoever files), and the environment here.
std::string links_and_versions(const Repro& repro, const std::string& collected);

}  // namespace samebits
