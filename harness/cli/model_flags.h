#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "harness/case/case.h"

namespace samebits {

// The flags of commands that run one model without a case.
struct ModelFlags {
  std::string model;
  int64_t tp = 1;
  std::string dtype = "bfloat16";
  std::string device = "cpu";

  // `is_required`: whether there must be a --model.
  void add_to(CLI::App& command, bool is_required = true);

  // An arm of these settings. Throws InputError for a device that is not there.
  CaseArm arm() const;
};

}  // namespace samebits
