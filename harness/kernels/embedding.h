#pragma once

// Rows of a table, which may hold a shard of the vocabulary.
//
//   embedding(ids int64 [1, T], weight [rows, C], first_row) -> y [1, T, C], dtype of weight
//   embedding_wgrad(dy [1, T, C], ids, weight, first_row) -> dweight [rows, C], dtype of weight
//
// `weight` holds the ids first_row ... first_row + rows - 1. y[t] is a copy of the row of ids[t],
// bits and all. An id outside gives a row of -0.0: the identity of IEEE addition (+0 would turn a
// -0 into +0), so the sum of all shards has the bits of a lookup in the whole table.
//
//   dweight[r] = round(sum of dy[t] over the tokens t with ids[t] = r, ascending, float32 from +0)
// Rows without a token are +0. dy and weight are bf16 or float32, of one dtype; weight's values
// are not read. A row of dweight depends only on its own tokens: shards by rows have the bits of
// the whole.
