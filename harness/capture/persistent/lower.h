#pragma once

#include <ATen/core/Tensor.h>

#include "harness/capture/passes/pass.h"

namespace samebits::passes {

// Lowers a captured decode step to stages (stages.h): what it knows becomes one call of
// samebits::decode_stages, and what it does not know stays before or after it. All bits stay. Knows
// the operators of a decoder as they are captured, before the pass `fuse`, on plain tensors. What
// an operator that stays needs, digests of marked values among them (digest_marks.h), is a result
// of the call; marks are dropped.
//
// The graph must run one token of each sequence, and no sequence may write a slot that another one
// reads.
//
// `progress`, int64 [2] on the device that runs the graph, becomes a constant of it: each run adds
// 1 to the first element and the stages that ran to the second. It must outlive whatever runs it.
// The log has one line for each stage.
//
// Throws InputError, in one line that names the operator, for a graph without stages, and where an
// operator that it does not know stands between two that it knows, writes memory, or reads the
// memory of keys and values.
PassResult lower_decode(const ir::Graph& graph, const at::Tensor& progress);

}  // namespace samebits::passes
