#pragma once

#include <stdint.h>

// The log-probability of one token under a row of logits.
//
//   log_softmax_gather(logits [..., V], targets int64 [...], vocab)
//       -> logprob float32 [...], lse float32 [...]
//   log_softmax_gather_backward(dlogprob float32 [...], logits, targets, lse, vocab)
//       -> dlogits [..., V], dtype of logits
//
// Logits are bf16 or float32. Only the first `vocab` columns count (1 <= vocab <= V; the others
// are padding). A row's bits depend on that row alone. float32, one rounding an operation:
//   m = max over i of x[i] (a NaN is never the maximum)
//   lse = m + log(strided sum of exp(x[i] - m))
//   logprob = x[target] - lse
// exp and log are those of cpu/math.h. The strided sum is that of rms_norm.h, with kSoftmaxLanes
// partial sums. A target outside [0, vocab) is an error that names it.
//
// Backward, with t = 1 at the target and 0 elsewhere; the padding columns are +0:
//   dlogits[i] = round(dlogprob * (t - exp(x[i] - lse)))
//
// Source of the semantics: torch's log_softmax over float32 logits, followed by gather.
namespace samebits {

constexpr int64_t kSoftmaxLanes = 256;

}  // namespace samebits
