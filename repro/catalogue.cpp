#include "repro/catalogue.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/json.h"
#include "repro/guard_dropped_after_specialise/repro.h"
#include "repro/minus_one_reshape_hides_rows/repro.h"
#include "repro/piecewise_stale_input_pointer/repro.h"
#include "repro/prim_to_local_symbolic_ceil/repro.h"
#include "repro/rope_cache_grow_in_forward/repro.h"
#include "repro/weak_ref_op_unregistered/repro.h"
#include "repro/weak_ref_tensor_on_dtensor/repro.h"
#include "repro/weight_reload_rebinds_pointer/repro.h"

namespace samebits {

const std::vector<Repro>& catalogue() {
  static const std::vector<Repro> repros{
      prim_to_local_symbolic_ceil(),   weak_ref_tensor_on_dtensor(),
      rope_cache_grow_in_forward(),    minus_one_reshape_hides_rows(),
      weak_ref_op_unregistered(),      guard_dropped_after_specialise(),
      piecewise_stale_input_pointer(), weight_reload_rebinds_pointer()};
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
