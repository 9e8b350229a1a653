#include "harness/observe/tensor_keeper.h"

namespace samebits {
namespace {

// The weight's of "layers.3.attention.wq.weight", and of "generator.before[...]" and the like of
// it; "" of any other, a gradient's too.
std::string weight_in(const std::string& site) {
  if (!site.starts_with("generator.") && !site.starts_with("trainer.")) {
    return site.ends_with(".weight") ? site : "";
  }
  const size_t bracket = site.find('[');
  return bracket == std::string::npos ? "" : site.substr(bracket + 1, site.size() - bracket - 2);
}

}  // namespace

void TensorKeeper::see(int64_t step, const std::string& phase, const std::string& site,
                       const at::Tensor& value) {
  const std::string weight = weight_in(site);
  if (!weight.empty()) calls_.name_memory(value, weight);
  if (step != place_.step) return;
  if (site.starts_with("completion[")) completions_.push_back(value.detach().clone());
  const bool is_place = phase == place_.phase && site == place_.site;
  if (is_place && seen_++ == place_.occurrence) {
    is_own_ = true;
    kept_ = calls_.computation_of(value, site);
    is_own_ = false;
  }
  if (!kept_.is_known() && weight.empty()) calls_.name_value(value, site);
}

void TensorKeeper::call(int64_t step, const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  if (is_own_ || step != place_.step || kept_.is_known()) {
    op.callBoxed(stack);
  } else {
    calls_.call(op, stack);
  }
}

Computation TensorKeeper::kept() const {
  Computation kept = kept_;
  calls_.name_weights(kept);
  return kept;
}

}  // namespace samebits
