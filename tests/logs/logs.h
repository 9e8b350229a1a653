#pragma once

#include <optional>
#include <string>
#include <utility>

#include "harness/base/error.h"
#include "harness/logs/readers.h"
#include "harness/observe/arm_recording.h"

// Logs that tests write by hand.
namespace samebits::testing {

// What `call` is refused with; "" where it is not.
template <class Call>
std::string refusal_of(Call&& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

inline Log read(const std::string& text, const LogSettings& settings,
                const std::string& file = "log") {
  return read_log({text, file, settings});
}

inline std::string error_of(const std::string& text, const LogSettings& settings,
                            const std::string& file = "log") {
  return refusal_of([&] { read(text, settings, file); });
}

inline std::optional<Observation> at(const Log& log, int64_t step, const std::string& site) {
  for (const Observation& each : log.stream.observations) {
    if (each.step == step && each.site == site) return each;
  }
  return std::nullopt;
}

// "" where the site has no value in that step.
inline std::string value_at(const Log& log, int64_t step, const std::string& site) {
  const auto seen = at(log, step, site);
  return seen ? scalar_text(*seen) : "";
}

inline std::string precision_of(const Log& log, const std::string& site) {
  const auto found = log.source.precision.find(site);
  return found == log.source.precision.end() ? "" : found->second.text();
}

inline ArmRecording recording_of(Log log, const std::string& name) {
  ArmRecording recording;
  recording.arm = name;
  recording.finished = true;
  recording.ranks.push_back(std::move(log.stream));
  recording.log = std::move(log.source);
  return recording;
}

}  // namespace samebits::testing
