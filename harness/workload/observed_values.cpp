#include "harness/workload/observed_values.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

namespace samebits {

void observe_logprobs(Observer& observer, size_t sample, const std::vector<float>& logprobs) {
  const Observing observing(observer);
  for (size_t t = 0; t < logprobs.size(); ++t) {
    observer.observe(fmt::format("logprob[{},{}]", sample, t), at::scalar_tensor(logprobs[t]));
  }
}

void observe_weights(Observer& observer, const Decoder& model, const std::string& where) {
  const c10::NoGradGuard no_grad;
  const Observing observing(observer);
  for (const Parameter& parameter : model.parameters()) {
    observer.observe(where.empty() ? parameter.site : fmt::format("{}[{}]", where, parameter.site),
                     parameter.tensor.detach());
  }
}

void observe_optimizer(Observer& observer, const Decoder& model, Optimizer& optimizer) {
  {
    const Observing observing(observer);
    const std::vector<at::Tensor>& gradient = optimizer.gradient().whole();
    for (size_t i = 0; i < gradient.size(); ++i) {
      observer.observe(fmt::format("gradient[{}]", model.parameters()[i].site), gradient[i]);
    }
  }
  const at::Tensor norm = optimizer.step();
  const Observing observing(observer);
  observer.observe("grad_norm", norm);
  observer.observe("clip_scale", optimizer.clip_scale());
  optimizer.for_each_state([&](size_t parameter, const std::string& name, const at::Tensor& value) {
    observer.observe(fmt::format("{}[{}]", name, model.parameters()[parameter].site), value);
  });
}

}  // namespace samebits
