#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/observe/observation.h"

namespace samebits {

// What the weight sync of one step did, tensor by tensor, from the digests of both sides before and
// after it.
struct SyncCheck {
  int64_t step = 0;
  int64_t weights = 0;  // of either side
  int64_t arrived = 0;  // bit for bit, and unchanged in the trainer
  std::string first;    // "layers.0.attention.wq.weight, which kept what it had"; "" for none

  bool is_whole() const { return weights > 0 && arrived == weights; }
  std::string text() const;  // "step 2: 0 of 46 weights arrived, first tok_embeddings.weight, ..."
};

// One for each step whose weights were observed.
std::vector<SyncCheck> sync_checks(const std::vector<Observation>& observations);

// "all 46 arrived in each of 10 steps", or the first sync that was not whole. "" for none.
std::string summary_text(const std::vector<SyncCheck>& syncs);

}  // namespace samebits
