#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/observe/arm_recording.h"

// Hand-written recordings.
namespace samebits::testing {

inline Observation scalar(int64_t step, const std::string& phase, const std::string& site,
                          float value) {
  return observe_float32(step, phase, 0, site, value);
}

inline Observation tokens(int64_t step, const std::string& site, std::vector<int64_t> ids) {
  const auto count = static_cast<int64_t>(ids.size());
  return observe_tensor(step, "rollout", 0, site, Dtype::int64, {count}, ids.data());
}

// A small GRPO run: two samples of two tokens a step.
inline std::vector<Observation> grpo_stream(int64_t steps) {
  std::vector<Observation> stream;
  for (int64_t step = 0; step < steps; ++step) {
    const float base = 0.5f + 0.25f * static_cast<float>(step);
    for (int64_t sample = 0; sample < 2; ++sample) {
      const std::string index = "[" + std::to_string(sample) + "]";
      stream.push_back(tokens(step, "completion" + index, {7, 8 + sample}));
      for (int64_t token = 0; token < 2; ++token) {
        const std::string pair =
            "logprob[" + std::to_string(sample) + "," + std::to_string(token) + "]";
        stream.push_back(scalar(step, "rollout", pair, -base - static_cast<float>(token)));
      }
      stream.push_back(scalar(step, "rollout", "reward" + index, base));
    }
    stream.push_back(scalar(step, "rollout", "reward_mean", base));
    stream.push_back(scalar(step, "train", "loss", 7.4252f / base));
    stream.push_back(scalar(step, "train", "kl", 0));
    stream.push_back(scalar(step, "train", "grad_norm", 1.5f * base));
  }
  return stream;
}

// What an arm counts in each step: one whose parts are all eager, or all captured.
inline std::vector<std::pair<std::string, int64_t>> eager_witness() {
  return {{"generator.eager_calls", 9}, {"trainer.eager_calls", 8}, {"optimizer.eager_calls", 1}};
}

inline std::vector<std::pair<std::string, int64_t>> captured_witness() {
  return {{"generator.eager_calls", 0},
          {"generator.nodes", 812},
          {"trainer.eager_calls", 8},
          {"optimizer.eager_calls", 1}};
}

inline ArmRecording recording(const std::string& arm, std::vector<Observation> observations) {
  ArmRecording recorded;
  recorded.arm = arm;
  recorded.finished = true;
  const int64_t steps = observations.empty() ? 0 : observations.back().step + 1;
  for (int64_t step = 0; step < steps; ++step) {
    recorded.steps.push_back({.step = step, .witness = eager_witness()});
  }
  recorded.ranks.push_back({std::move(observations), 0, 0});
  return recorded;
}

// The index of a site in a stream.
inline size_t at_site(const std::vector<Observation>& stream, int64_t step,
                      const std::string& site) {
  for (size_t i = 0; i < stream.size(); ++i) {
    if (stream[i].step == step && stream[i].site == site) return i;
  }
  return stream.size();
}

// The same stream with one scalar moved by one representable value.
inline std::vector<Observation> nudged(std::vector<Observation> stream, int64_t step,
                                       const std::string& site, int64_t ulp = 1) {
  Observation& moved = stream.at(at_site(stream, step, site));
  const auto bits = static_cast<uint32_t>(*moved.bits + static_cast<uint64_t>(ulp));
  moved = observe_tensor(step, moved.phase, 0, site, Dtype::float32, {}, &bits);
  return stream;
}

}  // namespace samebits::testing
