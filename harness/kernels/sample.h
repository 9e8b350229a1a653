#pragma once

#include <stdint.h>

// One token a row, drawn from the row's softmax.
//
//   sample(logits [S, V], keys int64 [S, 2], vocab, seed, temperature, top_k, top_p)
//       -> token int64 [S], logprob float32 [S]
//
// keys[s] = (sequence, position), each in [0, 2^32). Logits are bf16 or float32; only the first
// `vocab` columns count. float32, one rounding an operation. A row's token depends on its logits,
// its key and the seed alone: not on the batch, and not on what was drawn before.
//
// temperature 0: the largest logit; among equals the lowest id. Filters do not apply.
// temperature > 0: the Gumbel-max draw. With z[i] = x[i] / temperature, over the ids kept:
//   score[i] = z[i] - log(-log(u[i]));  the largest score wins, among equals the lowest id
//   u[i] = (w >> 9 + 1/2) * 2^-23, exact and within (0, 1)
//   w = word i mod 4 of Philox 4x32-10 (bits/philox.h), key = the seed's low and high 32 bits,
//       counter = (i / 4, position, sequence, kSampleDomain)
// A NaN never wins; where nothing can, the token is 0.
//
// Filters. Ids are put in descending order of z, equals by ascending id, NaN last. top_k > 0 keeps
// the first top_k; top_p < 1 keeps the shortest beginning whose cumulative probability, summed in
// that order in float32, is at least top_p. Where both are given, both must keep an id. The
// probability is exp(z[i] - max z) / (strided sum of those over the vocabulary), the sum as in
// log_softmax.h. It is not renormalised between the filters: the two are joint, as SGLang's are. In
// Transformers and in vLLM's own sampler top_p counts of what top_k left, so that with both filters
// they may keep fewer ids. The first id is always kept.
//
// logprob is log_softmax_gather's at the token, under the logits as they are, with the same bits.
//
// Source of the semantics: temperature, top-k alone and top-p alone as in Transformers, vLLM and
// SGLang, both together as in SGLang's joint order; the Gumbel-max trick in place of a draw along
// the cumulative sum, because it needs no sum over the vocabulary.
namespace samebits {

// Keeps these draws apart from any other use of the same seed.
constexpr uint32_t kSampleDomain = 0x53414d50;  // "SAMP"

}  // namespace samebits
