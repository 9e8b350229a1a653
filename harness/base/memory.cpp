#include "harness/base/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>

namespace samebits {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

// The number that follows `key` in a file of lines "key number"; with an empty key, the first.
std::optional<int64_t> number_in(const fs::path& file, const std::string& key = "") {
  std::ifstream in(file);
  std::string word;
  while (!key.empty() && in >> word && word != key) {
  }
  int64_t number = 0;
  return in >> number ? std::optional(number) : std::nullopt;
}

// What one control group leaves; its file cache is given back when memory is wanted.
int64_t room_in(const fs::path& group, const char* limit_file, const char* usage_file,
                const char* cache_key) {
  const auto limit = number_in(group / limit_file);  // none: the word "max", or no such file
  const auto usage = number_in(group / usage_file);
  if (!limit || !usage) return kUnlimited;
  const int64_t cache = number_in(group / "memory.stat", cache_key).value_or(0);
  return std::max<int64_t>(0, *limit - std::max<int64_t>(0, *usage - cache));
}

// A group and all above it, as far as they are seen from here.
int64_t room_in_groups(const fs::path& mount, fs::path group, const char* limit_file,
                       const char* usage_file, const char* cache_key) {
  int64_t room = kUnlimited;
  for (group = group.relative_path();; group = group.parent_path()) {
    room = std::min(room, room_in(mount / group, limit_file, usage_file, cache_key));
    if (group.empty()) return room;
  }
}

int64_t room_in_control_groups(const fs::path& root) {
  const fs::path mount = root / "sys/fs/cgroup";
  int64_t room = kUnlimited;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "0::/a/b", "4:cpu,memory:/a/b"
    std::istringstream fields(line);
    std::string id, controllers, group;
    std::getline(fields, id, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, group);
    if (controllers.empty()) {
      room = std::min(
          room, room_in_groups(mount, group, "memory.max", "memory.current", "inactive_file"));
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      room = std::min(room, room_in_groups(mount / "memory", group, "memory.limit_in_bytes",
                                           "memory.usage_in_bytes", "total_inactive_file"));
    }
  }
  return room;
}

}  // namespace

int64_t available_memory(const fs::path& root) {
  const auto kibibytes = number_in(root / "proc/meminfo", "MemAvailable:");
  const int64_t machine = kibibytes ? *kibibytes * 1024 : kUnlimited;
  return std::min(machine, room_in_control_groups(root));
}

}  // namespace samebits
