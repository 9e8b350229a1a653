#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// pytorch#190746: within torch's loss_parallel() the backward of a log-softmax over a sharded
// vocabulary hands its gradient on, for cross entropy has done its work already. Whoever else takes
// the logprobs gets no softmax in the gradient.

// The sum of weights times logprobs, [s, 8] both, over a vocabulary that `ranks` share, and its
// gradient by the logits: a policy gradient.
Subject weighted_logprobs(Side side, int64_t ranks);

// The gradient of cross entropy by the logits: its own backward, then log-softmax's, each with the
// share of the work that it has on that side. Target: class 2 in each row.
Subject cross_entropy_gradient(Side side, int64_t ranks);

Repro loss_parallel_identity_gradient();

}  // namespace samebits
