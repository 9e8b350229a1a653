#pragma once

// Rows of a table, which may hold a shard of the vocabulary.
//
//   embedding(ids int64 [1, T], weight [rows, C], first_row) -> y [1, T, C], dtype of weight
//   embedding_wgrad_(dy [1, T, C], ids, first_row, starts?, sum float32 [rows, C])
//   tied_wgrad_(dy, ids, first_row, starts, dlogits [1, R, rows], h [1, R, C], row_starts, sum,
//               head_sum float32 [rows, C])
//
// `weight` holds the ids first_row ... first_row + rows - 1. y[t] is a copy of the row of ids[t],
// bits and all. An id outside gives a row of -0.0: the identity of IEEE addition (+0 would turn a
// -0 into +0), so the sum of all shards has the bits of a lookup in the whole table.
//
//   sum[r] = sum[r] + dy[t], for each token t with ids[t] = r, ascending, in float32
// Rows without a token stay as they are. dy is bf16 or float32. A row of `sum` depends only on its
// own tokens: shards by rows have the bits of the whole. Where `starts` has several groups
// (step_gradient.h), a row that has a token is the tree over groups of such sums from +0.
//
// tied_wgrad_ is both gradients of an embedding that is the head, too. Of one group they are
// embedding_wgrad_ on `sum` and linear_wgrad_ of dlogits and h on `head_sum`. Of several, each from
// +0, the two of a group are added, embedding + head, and `sum` is the tree over groups of that, in
// all rows; `head_sum` stays as it is.
