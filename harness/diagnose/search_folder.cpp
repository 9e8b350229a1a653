#include "harness/diagnose/search_folder.h"

#include "harness/base/error.h"
#include "harness/base/file.h"

namespace samebits {

namespace fs = std::filesystem;

void open_search_folder(const fs::path& folder, Existing existing, const std::string& what) {
  make_folder(folder);
  const bool is_search = fs::exists(folder / kJournal);
  if (existing == Existing::kResume) {
    if (is_search) return;
    throw InputError(folder.string(), std::string("no ") + kJournal,
                     "the folder of a " + what + " that was cut off");
  }
  if (is_search && existing == Existing::kRefuse) {
    throw InputError(folder.string(), "a " + what + " in it",
                     "a new folder, --resume to go on with it, or --force to begin anew");
  }
  if (!is_search && !fs::is_empty(folder)) {
    throw InputError(folder.string(), "other files in it", "a new folder");
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    fs::remove_all(entry.path());
  }
}

}  // namespace samebits
