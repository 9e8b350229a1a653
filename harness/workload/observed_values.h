#pragma once

#include <string>
#include <vector>

#include "harness/model/decoder.h"
#include "harness/workload/observer.h"
#include "harness/workload/optimizer.h"

// What more than one workload tells of itself.
namespace samebits {

// Each at logprob[sample,token].
void observe_logprobs(Observer& observer, size_t sample, const std::vector<float>& logprobs);

// Every parameter at its site, which is where arms are compared; with `where`, at where[site].
void observe_weights(Observer& observer, const Decoder& model, const std::string& where = "");

// A step of the optimizer, with the gradient of every parameter at gradient[site] before it is
// clipped, what clips it, and the state that it leaves, as master[site], m[site] and v[site].
void observe_optimizer(Observer& observer, const Decoder& model, Optimizer& optimizer);

}  // namespace samebits
