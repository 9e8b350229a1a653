#pragma once

#include <cstdint>
#include <filesystem>

namespace samebits {

// Bytes of memory that this process can still take: what the machine can give without swapping
// (MemAvailable of proc(5)), or less where one of the process's control groups allows less
// (memory.max less what it uses, its file cache not counted; version 1 and 2). The largest int64_t
// where nothing of this can be read. `root` is another folder than / in tests.
int64_t available_memory(const std::filesystem::path& root = "/");

}  // namespace samebits
