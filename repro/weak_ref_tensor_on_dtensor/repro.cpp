#include "repro/weak_ref_tensor_on_dtensor/repro.h"

#include "repro/weak_ref_op_unregistered/repro.h"

namespace samebits {

Repro weak_ref_tensor_on_dtensor() {
  return {"weak_ref_tensor_on_dtensor",
          "a weak reference is made from the pointer of a DTensor's wrapper, which owns no memory",
          /*is_silent=*/false,
          /*symptom=*/
          "eager at 6: weak_ref: the pointer of a tensor of sizes [6, 1024] is null and belongs to "
          "no storage",
          {"https://github.com/vllm-project/vllm/pull/9724",
           "https://github.com/pytorch/torchtitan/pull/2393",
           "https://github.com/pytorch/torchtitan/pull/2486",
           "https://github.com/NVIDIA/TransformerEngine/pull/1475"},
          [](Side side) {
            return weak_ref_subject(side == Side::kBuggy ? "no_guard" : "", /*on_mesh=*/true);
          },
          {{"no shape rule",
            "eager at 6: operator samebits_repro::weak_ref.no_shape_rule has no shape rule",
            [] { return weak_ref_subject("no_shape_rule", /*on_mesh=*/true); }},
           {"no sharding strategy",
            "eager at 6: operator samebits_repro::weak_ref.no_strategy has no sharding strategy",
            [] { return weak_ref_subject("no_strategy", /*on_mesh=*/true); }},
           {"no guard for empty shards",
            "served at 1: weak_ref: the pointer of a tensor of sizes [0, 1024] is null",
            [] { return weak_ref_subject("no_empty", /*on_mesh=*/true); }}},
          OnCard{"eager at 6: The specified pointer resides on host memory and is not registered "
                 "with any CUDA device.",
                 [](Side side) {
                   return weak_ref_subject(side == Side::kBuggy ? "no_guard" : "",
                                           /*on_mesh=*/true, c10::kCUDA);
                 },
                 run_subject}};
}

}  // namespace samebits
