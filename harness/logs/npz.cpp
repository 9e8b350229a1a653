#include "harness/base/error.h"
#include "harness/logs/npy.h"
#include "harness/logs/readers.h"
#include "harness/logs/zip.h"

namespace samebits {

// An archive of arrays, a member NAME.npy each, as NumPy's savez and savez_compressed write it.
Log read_npz(const LogInput& input) {
  constexpr std::string_view kSuffix = ".npy";
  LogBuilder log(input.file, input.settings, "member");
  const ZipArchive archive(input.bytes, input.file);
  for (size_t i = 0; i < archive.members().size(); ++i) {
    const ZipArchive::Member& member = archive.members()[i];
    const std::string where = input.file + ": " + printable(member.name);
    const std::string_view name = member.name;
    if (!name.ends_with(kSuffix)) throw InputError(where, "no array", "a member NAME.npy");
    const NpyArray array = read_npy(archive.bytes_of(member), where);
    const size_t site = log.site(name.substr(0, name.size() - kSuffix.size()), i);
    log.add_tensor(/*step=*/0, site, array.dtype, array.shape, array.data.data(), i);
  }
  return log.finish("npz");
}

}  // namespace samebits
