#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace samebits {

// One observation of a run: the how-many-th of its site in its step.
struct ObservationPlace {
  int64_t step = 0;
  std::string phase;
  std::string site;
  int64_t occurrence = 0;
};

// Keeps the tensor that is observed at one place.
class TensorKeeper {
 public:
  explicit TensorKeeper(ObservationPlace place) : place_(std::move(place)) {}

  // To be told of every tensor that is observed, in order.
  void see(int64_t step, const std::string& phase, const std::string& site,
           const at::Tensor& value);

  // On the CPU, whole and contiguous; undefined where the place was not seen, as those inside of a
  // replay are not.
  const at::Tensor& kept() const { return kept_; }

 private:
  ObservationPlace place_;
  int64_t seen_ = 0;
  at::Tensor kept_;
};

}  // namespace samebits
