#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace samebits::fuzz {

// A folder of this process, for readers that take one; removed at its end.
inline const std::filesystem::path& scratch_folder() {
  struct Folder {
    Folder() {
      // In memory where there is such a place: readers are asked thousands of times a second.
      const std::filesystem::path memory = "/dev/shm";
      const auto where =
          std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
      std::string name = (where / "samebits-fuzz-XXXXXX").string();
      if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
      path = name;
    }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    std::filesystem::path path;
  };
  static const Folder folder;
  return folder.path;
}

}  // namespace samebits::fuzz
