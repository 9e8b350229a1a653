#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace samebits {

// "live", "fixed", "changed" (fails in other words), "not applicable".
const std::vector<std::string>& upstream_states();

// What an installed torch says of a repro.
struct UpstreamState {
  std::string torch;     // its version
  std::string state;     // one of upstream_states()
  std::string evidence;  // the literal text or value
};

// Runs a repro's upstream.py with a Python interpreter. The script prints one line of JSON with the
// keys above, last, and ends with 0, or with 77 (skipped) where it says "not applicable".
// InputError where there is no such interpreter, it has no torch, or the script ends in another
// way.
UpstreamState ask_upstream(const std::filesystem::path& script, const std::string& python);

// What torch's own collect_env says of an interpreter's torch and of this machine, which is what
// torch's tracker asks for under "Versions". InputError as above.
std::string collected_versions(const std::string& python);

}  // namespace samebits
