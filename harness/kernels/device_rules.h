#pragma once

#include <string>

// Which cards and drivers serve. device.h asks the machine.
namespace samebits {

// Why a card is not used, for a person; "" where it is. The contract's matrix step was measured on
// compute capability 9.0, and another one's is not guessed.
inline std::string why_not_card(const std::string& name, int major, int minor) {
  if (major == 9 && minor == 0) return "";
  return name + " has compute capability " + std::to_string(major) + "." + std::to_string(minor) +
         ", whose matrix step was not measured; expected 9.0";
}

// The same of a driver, by the newest CUDA that it serves and the one that this build was made
// with, as CUDA writes them (13000: 13.0). Within a major version, older drivers serve newer
// runtimes. 0: there is no driver.
inline std::string why_not_driver(int served, int wanted) {
  const auto text = [](int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  };
  if (served == 0) return "this machine has no CUDA driver";
  if (served / 1000 >= wanted / 1000) return "";
  return "the CUDA driver serves " + text(served) + " at most; expected one for " + text(wanted) +
         ", which this build was made with";
}

}  // namespace samebits
