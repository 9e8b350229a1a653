#include "harness/dtensor/seen_by_rank.h"

namespace samebits {
namespace {

thread_local int64_t tls_rank = 0;

}  // namespace

SeenByRank::SeenByRank(int64_t rank) { tls_rank = rank; }

SeenByRank::~SeenByRank() { tls_rank = 0; }

int64_t SeenByRank::rank() { return tls_rank; }

}  // namespace samebits
