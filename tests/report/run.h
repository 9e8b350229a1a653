#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "harness/observe/manifest.h"
#include "harness/observe/run_files.h"
#include "harness/observe/run_folder.h"
#include "tests/compare/streams.h"
#include "tests/support/scratch.h"

// A hand-written run: two equal arms and a control.
namespace samebits::testing {

inline Case run_case() {
  return parse_case(
      R"({"name": "grpo-tiny", "model": "m", "steps": 3,
          "arms": {"eager": {}, "captured-tp2": {"mesh": {"tp": 2}, "generator": "captured"},
                   "fused": {"numerics": {"fused_rounding": true}}},
          "relations": [{"arms": ["eager", "captured-tp2"], "holds": "bit_exact"},
                        {"arms": ["eager", "fused"], "holds": "must_diverge"}]})",
      "c.json");
}

struct RunOptions {
  std::vector<Observation> eager = grpo_stream(3);
  std::vector<Observation> captured = grpo_stream(3);
  std::vector<Observation> fused = nudged(grpo_stream(3), 1, "loss", 7);
  bool has_witness = true;  // captured-tp2 shows that it ran captured
  std::string golden_status = "equal";
  std::vector<Manifest::Closer> closer;
  bool has_manifest = true;
};

inline void write_run(const std::filesystem::path& folder, const RunOptions& options) {
  const Case c = run_case();
  RunFolder run = RunFolder::create(folder, c);
  const std::vector<std::pair<std::string, const std::vector<Observation>*>> arms = {
      {"eager", &options.eager}, {"captured-tp2", &options.captured}, {"fused", &options.fused}};
  Manifest manifest;
  manifest.command = "samebits run cases/grpo-tiny.json";
  manifest.environment = {{"cpu", "EPYC"}, {"commit", "abc|def"}};
  manifest.settings = Json::parse(canonical_json(c));
  for (const auto& [name, stream] : arms) {
    const auto recorder = run.start_arm(name);
    for (const Observation& each : *stream) recorder->sink(0).record(each);
    for (int64_t step = 0; step < 3; ++step) {
      StepRecord record;
      record.step = step;
      record.phases = {{"rollout", 1.5, 1.25, 300 << 20},
                       {"train", 0.5, 0.75, 400 << 20},
                       {"optimizer", 0, 0, 350 << 20},
                       {"sync", 0, 0, 350 << 20}};
      record.observation = {Level::kStep, 40 + step, 0.5 + 0.25 * static_cast<double>(step), 0.5,
                            int64_t{3} << 20};
      record.completion = "Paris";
      record.witness =
          name == "captured-tp2" && options.has_witness ? captured_witness() : eager_witness();
      recorder->record_step(record);
    }
    recorder->finish();
    manifest.arms.push_back({.name = name,
                             .finished = true,
                             .ranks = 1,
                             .observations = static_cast<int64_t>(stream->size()),
                             .seconds = 6,
                             .marker = run_files::digest_of_file(folder / name / "finished.json")});
  }
  manifest.closer = options.closer;
  manifest.models = {{.name = "m", .parameters = 996'000, .layers = 4, .hidden_size = 128}};
  manifest.golden.push_back({{"arm", "eager"},
                             {"status", options.golden_status},
                             {"text", "golden against run"},
                             {"file", "golden/grpo-tiny/eager.json"}});
  if (options.has_manifest) write_manifest(folder, manifest);
}

}  // namespace samebits::testing
