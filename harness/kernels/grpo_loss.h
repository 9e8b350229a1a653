#pragma once

// The shares of S sequences in the GRPO loss, one by one.
//
//   grpo_loss(logprobs float32 [R], reference float32 [R], starts int32 [S + 1], advantage float32
//             [S], tokens int64 [], sequences, clip, entropy, kl)
//       -> loss float32 [S], stats float32 [S, 6]
//   grpo_loss_backward(dloss float32 [S], the same arguments) -> dlogprobs float32 [R]
//
// logprobs are the trainer's, reference the generator's, over the generated tokens: those of
// sequence s are starts[s] to starts[s + 1] - 1 (step_gradient.h). `sequences` (> 0) and `tokens`
// (>= those of all sequences) count the whole step: means over the step are sums of shares, so the step's loss is the
// sum of the sequences' losses. `entropy` and `kl` are the coefficients. What changes from call to
// call is a tensor, so that a captured step does not keep the value that it was captured with.
// Scalars are rounded to float32 first. A sequence with its n tokens and its advantage a; float32,
// one rounding an operation, in the order written:
//   L = sum of logprobs, R = sum of reference: from +0, ascending, the same for both, so that equal
//       bits give a difference of exactly 0
//   d = L - R;   ratio = exp(d)
//   pg = -min(ratio * a, clamp(ratio, 1 - clip, 1 + clip) * a) / sequences
//   H  = (0 - L) / tokens (0 where tokens = 0)
//   K  = ((ratio - 1) - d) / sequences
//   loss = (pg - entropy * H) + kl * K
// stats = {L, R, ratio, pg, H, K}. An empty completion (n = 0) has ratio 1, pg = -a / sequences.
// exp is exp_f32 of cpu/math.h: exp(0) = 1 exactly.
//
// Backward, the gradient that autograd gives to the same formula (minimum halves the gradient among
// equals, clamp passes it inside its closed range). With p = ratio * a, c = clamp(..) * a, inside =
// (1 - clip <= ratio <= 1 + clip):
//   w = 1 where p < c;  inside ? 1 : 1/2 where p = c;  0 otherwise; NaN where p or c is
//   dlogprobs[i] = dloss * ((entropy / tokens - ((w * a) * ratio) / sequences)
//                           + (kl * (ratio - 1)) / sequences)              the same for every i
// and +0 where token i is of no sequence.
// `reference` and the stats have no gradient.
//
// Source of the semantics: the loss of torchtitan's simple RL loop (sequence-level ratio).
