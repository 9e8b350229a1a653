#include "repro/catalogue.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/json.h"
#include "repro/allreduce_order_depends_on_size/repro.h"
#include "repro/cublas_workspace_outlives_graph/repro.h"
#include "repro/dtensor_cache_stale_symint/repro.h"
#include "repro/dtensor_logsumexp_keepdim/repro.h"
#include "repro/dtensor_loss_gradient_times_ranks/repro.h"
#include "repro/dtensor_reduce_all_keepdim/repro.h"
#include "repro/flattened_allgather_uneven/repro.h"
#include "repro/gemm_row_depends_on_m/repro.h"
#include "repro/guard_dropped_after_specialise/repro.h"
#include "repro/inductor_arange_unwritten/repro.h"
#include "repro/inductor_elides_bf16_rounding/repro.h"
#include "repro/loss_parallel_identity_gradient/repro.h"
#include "repro/max_dim_indices_of_shard/repro.h"
#include "repro/metadata_baked_at_capture/repro.h"
#include "repro/minus_one_reshape_hides_rows/repro.h"
#include "repro/pad_slot_minus_one/repro.h"
#include "repro/piecewise_stale_input_pointer/repro.h"
#include "repro/prim_to_local_symbolic_ceil/repro.h"
#include "repro/rope_cache_grow_in_forward/repro.h"
#include "repro/rope_freqs_cast_bf16/repro.h"
#include "repro/split_kv_depends_on_batch/repro.h"
#include "repro/tree_sum_depends_on_count/repro.h"
#include "repro/uneven_unpad_noncontiguous/repro.h"
#include "repro/view_split_flatten_no_redistribute/repro.h"
#include "repro/weak_ref_op_unregistered/repro.h"
#include "repro/weak_ref_shared_pool_reuse/repro.h"
#include "repro/weak_ref_tensor_on_dtensor/repro.h"
#include "repro/weight_reload_rebinds_pointer/repro.h"
#include "repro/weight_sync_into_meta/repro.h"

namespace samebits {

const std::vector<Repro>& catalogue() {
  static const std::vector<Repro> repros{
      prim_to_local_symbolic_ceil(),     weak_ref_tensor_on_dtensor(),
      rope_cache_grow_in_forward(),      minus_one_reshape_hides_rows(),
      weak_ref_op_unregistered(),        guard_dropped_after_specialise(),
      piecewise_stale_input_pointer(),   weight_reload_rebinds_pointer(),
      weight_sync_into_meta(),           weak_ref_shared_pool_reuse(),
      dtensor_cache_stale_symint(),      view_split_flatten_no_redistribute(),
      uneven_unpad_noncontiguous(),      flattened_allgather_uneven(),
      max_dim_indices_of_shard(),        dtensor_loss_gradient_times_ranks(),
      dtensor_reduce_all_keepdim(),      dtensor_logsumexp_keepdim(),
      loss_parallel_identity_gradient(), pad_slot_minus_one(),
      allreduce_order_depends_on_size(), tree_sum_depends_on_count(),
      metadata_baked_at_capture(),       rope_freqs_cast_bf16(),
      inductor_elides_bf16_rounding(),   inductor_arange_unwritten(),
      gemm_row_depends_on_m(),           split_kv_depends_on_batch(),
      cublas_workspace_outlives_graph(),
  };
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
