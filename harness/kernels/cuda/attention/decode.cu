// Attention over pages where sequences have a query or few: each token by itself, a cluster of
// blocks for each key-value head, which put as much of a sequence on the card at once as its chain
// allows.
//
//   scores    a warp 16 keys: s = (q . k) * scale, and their maximum of each row
//   weights   a block its share of them, for all: m from the maxima so far, then alpha, P and the
//             sum of p
//   values    a block some columns of O, the chain over all keys, and l beside it
//
// The rows of a block are query heads that share a key-value head. All see the same keys, so
// nothing needs masking but the end of the last tile, which is filled with zeros.

#include <algorithm>

#include "harness/kernels/cuda/attention/decode_values.cuh"
#include "harness/kernels/cuda/runtime/launch.cuh"

namespace samebits::cuda {
namespace {

template <int kColumns>
__global__ void __launch_bounds__(kBlockThreads)
    decode_kernel(Attention size, Pages pages, const uint16_t* q, const uint16_t* k,
                  const uint16_t* v, Scores scores, uint16_t* out, Fault* fault) {
  extern __shared__ __align__(128) char memory[];
  auto& shared = *reinterpret_cast<Shared<kColumns>*>(memory);
  auto& values = shared.values;
  constexpr int kStages = ValuesShared<kColumns>::kStages;
  __shared__ uint64_t full[kStages];
  __shared__ uint64_t empty[kStages];
  __shared__ float sums[kDecodeRows];
  static_assert(kColumns / 8 + kFetchingWarps <= kBlockWarps);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int head_dim = static_cast<int>(size.head_dim);
  const int first_column = static_cast<int>(blockIdx.x) * kColumns;
  const int columns = max(min(head_dim - first_column, kColumns), 0);
  const bool multiplies = warp * 8 < columns;
  const bool fetches = warp >= ValuesFetch<kColumns>::kFirstWarp && columns > 0;
  const bool adds_l = warp == kBlockWarps - 1;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      init_barrier(&full[i], kFetchingWarps * 32);
      init_barrier(&empty[i], max(columns / 8, 1));
    }
    publish_barriers();
  }
  if (!pages.tables_are_settled) wait_for_earlier_kernels();
  const DecodeRows rows = rows_of_token(size, pages, blockIdx.z, blockIdx.y, fault);
  const int64_t first_row = rows.first_row(size);
  const int count = rows.sequence < 0 ? 0 : static_cast<int>(rows.keys);
  const int tiles = (count + kAttentionTile - 1) / kAttentionTile;
  const int chunks = (tiles + kChunkTiles - 1) / kChunkTiles;
  const Keys keys{pages, size.kv_heads * size.head_dim, 0, rows.sequence};
  const int64_t head = rows.kv_head * head_dim;
  PartRows part_rows(keys, count, warp_of_cluster() * kPart + lane % kPart,
                     warps_of_cluster() * kPart, &shared.key_pages[0][threadIdx.x]);
  ValuesFetch<kColumns> values_fetch(keys, fetches ? count : 0, v + head + first_column, columns,
                                     shared);
  if (pages.tables_are_settled) wait_for_earlier_kernels();
  if (chunks > 0) {
    find_scores(size, rows, part_rows, q, k + head, keys.row, scores, shared.keys, fault);
  }
  __syncthreads();  // the memory of keys is free
  float o[4] = {};
  float l = 0.0f;  // of a lane's row
  for (Segment segment = Segment::at(0, chunks, rows.rows); segment.chunks > 0;
       segment = Segment::at(segment.end(), chunks, rows.rows)) {
    const int there = min(tiles - segment.first * kChunkTiles, segment.chunks * kChunkTiles);
#pragma unroll 1
    for (int pass = 0; pass < 2; ++pass) {  // V ahead of the weights, then beside what they are for
      if (pass == 1) {
        sync_cluster();  // all scores are there, the weights before done with
        find_weights(rows, size, scores, segment, values);
        sync_cluster();
      }
      const int end = pass == 0 ? segment.first + kFirstChunks : segment.end() + kStages;
      if (fetches) values_fetch.run(min(chunks, end), full, empty, fault);
    }
    if (adds_l && lane < rows.rows) {
#pragma unroll 4
      for (int t = 0; t < there; ++t) {
        const float product = l * values.alphas[segment.tile(lane, t)];
        l = product + values.sums[segment.tile(lane, t)];
      }
    }
    if (!multiplies) continue;
    Multiply<kColumns>(values, segment, rows.rows, warp, lane, full, empty).run(o, there, lane);
  }
  if (adds_l && lane < rows.rows) sums[lane] = l;
  __syncthreads();
  if (!multiplies) return;
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int row = lane / 4 + e / 2 * 8;
    const int column = warp * 8 + lane % 4 * 2 + e % 2;
    if (row >= rows.rows || column >= columns) continue;
    out[(first_row + row) * head_dim + first_column + column] =
        chunks == 0 ? uint16_t{0} : f32_to_bf16(o[e] / sums[row]);
  }
}

// What clusters leave each other.
int64_t cluster_floats(const Attention& size, const Pages& pages) {
  return size.tokens * size.heads * tiles_of(pages) * Scores::kFloats;
}

bool may_decode(const Attention& size, const Pages& pages) {
  constexpr int64_t kMost = int64_t{1} << 26;  // 256 MiB: beyond, the other kernel does
  const int64_t floats = cluster_floats(size, pages);
  return size.bf16 && size.tokens <= size.sequences && floats > 0 && floats <= kMost;
}

}  // namespace

bool is_decode(const Attention& size, const Pages& pages, const void* q, const void* k,
               const void* v) {
  return may_decode(size, pages) && size.head_dim % 16 == 0 && rows_are_aligned(q, size.head_dim) &&
         rows_are_aligned(k, size.head_dim) && rows_are_aligned(v, size.head_dim);
}

int64_t decode_workspace(const Attention& size, const Pages& pages) {
  const bool clusters_do = may_decode(size, pages) && !is_for_single_blocks(size, pages);
  return clusters_do ? cluster_floats(size, pages) : 0;
}

void decode_attention(const Attention& size, const Pages& pages, const void* q, const void* k,
                      const void* v, void* out, float* workspace, cudaStream_t stream) {
  if (is_for_single_blocks(size, pages)) {
    return decode_by_single_blocks(size, pages, q, k, v, out, stream);
  }
  const int64_t tiles = tiles_of(pages);
  const int64_t all = size.tokens * size.heads * tiles;
  Scores scores{tiles, workspace, reinterpret_cast<float4*>(workspace + all * kAttentionTile)};
  const int64_t parts = row_groups(size);
  const auto run = [&](auto kernel, int columns, size_t bytes) {
    int cluster = 1;  // a power of two, which holds all columns
    while (cluster * columns < size.head_dim) cluster *= 2;
    allow_shared_memory(kernel, bytes);
    launch_clusters(
        kernel, cluster,
        dim3(static_cast<unsigned>(cluster), static_cast<unsigned>(size.kv_heads * parts),
             static_cast<unsigned>(size.tokens)),
        kBlockThreads, bytes, stream, size, pages, static_cast<const uint16_t*>(q),
        static_cast<const uint16_t*>(k), static_cast<const uint16_t*>(v), scores,
        static_cast<uint16_t*>(out), fault_record());
  };
  // As many blocks as the card has room for.
  const int64_t clusters = size.tokens * size.kv_heads * parts;
  if (clusters <= 8 && size.head_dim <= 128) {
    run(decode_kernel<16>, 16, sizeof(Shared<16>));
  } else if (clusters <= 16) {
    run(decode_kernel<32>, 32, sizeof(Shared<32>));
  } else {
    run(decode_kernel<64>, 64, sizeof(Shared<64>));
  }
}

}  // namespace samebits::cuda
