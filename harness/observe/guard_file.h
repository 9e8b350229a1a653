#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/capture/guard_record.h"

namespace samebits {

Json json_from_guards(const std::vector<GuardRecord>& guards);

// The inverse. Throws InputError, naming `where`.
std::vector<GuardRecord> guards_from_json(const Json& json, const std::string& where);

// The guard ledger of a captured arm, as a file of its folder.
void write_guards(const std::filesystem::path& file, const std::vector<GuardRecord>& guards);

// Empty where there is no such file: the arm captures nothing, or was cut off. Throws InputError
// for one that is broken.
std::vector<GuardRecord> read_guards(const std::filesystem::path& file);

}  // namespace samebits
