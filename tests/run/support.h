#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/run/run_case.h"
#include "tests/support/scratch.h"
#include "tests/support/source_path.h"

// Small real runs of the tiny checkpoint.
namespace samebits::testing {

inline const std::filesystem::path kTiny = source_path("cases/models/tiny");

class Run : public Scratch {
 protected:
  // A step of two prompts, a sample of four tokens each, in arms a and b. `more` overrides keys.
  Case small_case(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> overrides = {"model=" + model_.string()};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return parse_case(
        R"({"name": "small", "model": "m", "steps": 1,
            "workload": {"group": 1, "max_new_tokens": 4,
                         "prompts": [{"prompt": "The capital", "answer": "paris"},
                                     {"prompt": "Water", "answer": "wet"}]},
            "arms": {"a": {}, "b": {}},
            "relations": [{"arms": ["a", "b"], "holds": "bit_exact"}]})",
        (folder_ / "small.json").string(), overrides);
  }

  RunOptions options(Existing existing = Existing::kRefuse) const {
    RunOptions options;
    options.out = folder_ / "run";
    options.golden = folder_ / "golden";
    options.existing = existing;
    options.command = "samebits run small.json";
    return options;
  }

  ReportRecord run(const Case& c, const RunOptions& with) const {
    Progress progress(/*is_terminal=*/false);
    ::testing::internal::CaptureStdout();
    try {
      ReportRecord record = run_case(c, with, progress);
      ::testing::internal::GetCapturedStdout();
      return record;
    } catch (...) {
      ::testing::internal::GetCapturedStdout();
      throw;
    }
  }

  // A copy of the tiny checkpoint that a test may change.
  std::filesystem::path copy_of_model() const {
    const std::filesystem::path copy = folder_ / "model";
    std::filesystem::copy(kTiny, copy, std::filesystem::copy_options::recursive);
    return copy;
  }

  // Flips one bit of a file, `from_end` bytes before its end.
  static void flip_bit(const std::filesystem::path& file, int64_t from_end) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(-from_end, std::ios::end);
    const int byte = stream.get();
    stream.seekp(-from_end, std::ios::end);
    stream.put(static_cast<char>(byte ^ 4));
  }

  std::filesystem::path model_ = kTiny;
};

}  // namespace samebits::testing
