#include "harness/workload/weight_sync.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fnmatch.h>

#include <algorithm>
#include <deque>
#include <memory>

#include "harness/base/error.h"
#include "harness/base/text.h"
#include "harness/graph/graph_output.h"
#include "harness/model/architecture.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

// The tensors that hold the weights of both models, pairwise.
struct Pairs {
  Tensors from;
  Tensors to;
};

bool matches(const std::string& pattern, const std::string& site) {
  return fnmatch(pattern.c_str(), site.c_str(), 0) == 0;
}

bool stays(const std::vector<std::string>& except, const std::string& site) {
  return std::any_of(except.begin(), except.end(),
                     [&](const std::string& pattern) { return matches(pattern, site); });
}

Pairs pairs_of(const Decoder& from, const Decoder& to, const std::vector<std::string>& except) {
  Pairs pairs;
  for (const Parameter& target : to.parameters()) {
    if (stays(except, target.site)) continue;
    for (const Parameter& source : from.parameters()) {
      if (source.site != target.site) continue;
      for (const at::Tensor& part : plain_parts(source.tensor)) pairs.from.push_back(part);
      for (const at::Tensor& part : plain_parts(target.tensor)) pairs.to.push_back(part);
    }
  }
  return pairs;
}

void copy(const Tensors& from, Tensors& to) {
  const c10::NoGradGuard no_grad;
  if (!to.empty()) at::_foreach_copy_(to, from);
}

// The weights of `late` steps ago; none before there are any.
WeightSync late_sync(const Decoder& from, Decoder& to, int64_t late) {
  const auto waiting = std::make_shared<std::deque<Tensors>>();
  return [&from, &to, late, waiting] {
    Pairs pairs = pairs_of(from, to, {});
    Tensors now;
    for (const at::Tensor& part : pairs.from) now.push_back(part.detach().clone());
    waiting->push_back(std::move(now));
    if (static_cast<int64_t>(waiting->size()) <= late) return;
    copy(waiting->front(), pairs.to);
    waiting->pop_front();
  };
}

}  // namespace

void check_sync(const SyncSettings& settings, const DecoderConfig& config) {
  const auto weights = architecture_of(config).weight_shapes(config);
  for (const std::string& pattern : settings.except) {
    const bool is_used = std::any_of(weights.begin(), weights.end(), [&](const auto& weight) {
      return matches(pattern, architecture_of(config).site_of_weight(weight.first));
    });
    if (is_used) continue;
    throw InputError("workload.sync.except", quoted(pattern),
                     "a pattern of a weight such as \"layers.0.attention.wq.weight\"");
  }
}

void sync_weights(const Decoder& from, Decoder& to) {
  Pairs pairs = pairs_of(from, to, {});
  copy(pairs.from, pairs.to);
}

WeightSync make_weight_sync(const SyncSettings& settings, const Decoder& from, Decoder& to) {
  if (!settings.is_on) return [] {};
  if (settings.late > 0) return late_sync(from, to, settings.late);
  return [&from, &to, except = settings.except] {
    Pairs pairs = pairs_of(from, to, except);
    copy(pairs.from, pairs.to);
  };
}

}  // namespace samebits
