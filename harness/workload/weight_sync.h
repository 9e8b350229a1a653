#pragma once

#include <functional>

#include "harness/model/decoder.h"
#include "harness/workload/settings.h"

namespace samebits {

// Gives a generator the trained weights: every parameter of `from`, copied into that of the same
// site in `to`, which keeps its address, since graphs hold it by that; what only one of them has is
// left. Both are of one mesh. On a card they are copied together, in few launches on the current
// stream, and not waited for.
void sync_weights(const Decoder& from, Decoder& to);

// What runs after the optimizer of each step.
using WeightSync = std::function<void()>;

// Throws InputError for a pattern that no weight of the model matches.
void check_sync(const SyncSettings& settings, const DecoderConfig& config);

// The sync that a case asks for. Borrows both models.
WeightSync make_weight_sync(const SyncSettings& settings, const Decoder& from, Decoder& to);

}  // namespace samebits
