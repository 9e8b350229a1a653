#include "repro/catalogue/catalogue.h"

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/json.h"

namespace samebits {
namespace {

using Makers = std::vector<Repro (*)()>;

// A function's, so that it is there before the entries, which come in no order.
Makers& makers() {
  static Makers all;
  return all;
}

}  // namespace

CatalogueEntry::CatalogueEntry(Repro (*make)()) { makers().push_back(make); }

const std::vector<Repro>& catalogue() {
  static const std::vector<Repro> repros = [] {
    std::vector<Repro> all;
    for (const auto& make : makers()) all.push_back(make());
    std::sort(all.begin(), all.end(),
              [](const Repro& a, const Repro& b) { return a.name < b.name; });
    return all;
  }();
  return repros;
}

const Repro& find_repro(const std::string& name) {
  std::vector<std::string> names;
  for (const Repro& repro : catalogue()) {
    if (repro.name == name) return repro;
    names.push_back(repro.name);
  }
  throw InputError("repro", "\"" + name + "\"", JsonReader::one_of_text(names, name));
}

}  // namespace samebits
