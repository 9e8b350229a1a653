#pragma once

#include <string>
#include <string_view>

#include "harness/base/error.h"

namespace samebits {

// A clone without Git LFS leaves small text files in the place of large ones. Throws InputError if
// `content`, of the file of that name, begins as they do. Source: git-lfs, docs/spec.md.
inline void refuse_lfs_pointer(std::string_view content, const std::string& file) {
  if (content.starts_with("version https://git-lfs.github.com/spec/")) {
    throw InputError(file, "a Git LFS pointer in the place of the file",
                     "the file itself (`git lfs pull` fetches it)");
  }
}

}  // namespace samebits
