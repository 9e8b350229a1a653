#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/case/case.h"
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

// The arm of a case with these keys.
inline CaseArm arm_of(const std::string& keys) {
  return parse_case(R"({"name": "c", "model": "m", "arms": {"a": {)" + keys + "}}}", "c.json")
      .arms[0];
}

// A weight of one element, as the phase "weights" observes it.
inline Observation weight(int64_t step, const std::string& site, float value) {
  return observe_tensor(step, "weights", 0, site, Dtype::float32, {1}, &value);
}

// Two weights on both sides of a sync that brings them over: each is its number and the step.
inline void add_weights(std::vector<Observation>& stream, int64_t step) {
  const std::vector<std::string> names = {"norm.weight", "output.weight"};
  const auto value = [&](size_t i, int64_t moves) {
    return static_cast<float>(10 * i) + static_cast<float>(moves);
  };
  const auto add = [&](const std::string& where, int64_t moves) {
    for (size_t i = 0; i < names.size(); ++i) {
      const std::string site = where.empty() ? names[i] : where + "[" + names[i] + "]";
      stream.push_back(weight(step, site, value(i, moves)));
    }
  };
  add("", step + 1);
  add("generator.before", step);
  add("generator.after", step + 1);
  add("trainer.after", step + 1);
}

// A small GRPO run: two samples of two tokens a step, scored by both sides.
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
    for (const Observation& each : std::vector(stream)) {
      if (each.step != step || !each.site.starts_with("logprob")) continue;
      stream.push_back(each);
      stream.back().phase = "train";
    }
    stream.push_back(scalar(step, "train", "loss", 7.4252f / base));
    stream.push_back(scalar(step, "train", "kl", 0));
    stream.push_back(scalar(step, "train", "grad_norm", 1.5f * base));
    add_weights(stream, step);
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

inline void nudge(Observation& moved, int64_t ulp = 1) {
  const auto bits = static_cast<uint32_t>(*moved.bits + static_cast<uint64_t>(ulp));
  moved = observe_tensor(moved.step, moved.phase, 0, moved.site, Dtype::float32, {}, &bits);
}

// The same stream with one scalar moved by one representable value, in each phase that has it.
inline std::vector<Observation> nudged(std::vector<Observation> stream, int64_t step,
                                       const std::string& site, int64_t ulp = 1) {
  for (Observation& each : stream) {
    if (each.step == step && each.site == site) nudge(each, ulp);
  }
  return stream;
}

}  // namespace samebits::testing
