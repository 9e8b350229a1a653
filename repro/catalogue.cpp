#include "repro/catalogue.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/json.h"
#include "repro/minus_one_reshape_hides_rows/repro.h"
#include "repro/prim_to_local_symbolic_ceil/repro.h"

namespace samebits {

const std::vector<Repro>& catalogue() {
  static const std::vector<Repro> repros{prim_to_local_symbolic_ceil(),
                                         minus_one_reshape_hides_rows()};
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
