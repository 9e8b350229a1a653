#include "harness/observe/arm_recorder.h"

#include <map>
#include <utility>

#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/observe/guard_file.h"
#include "harness/observe/run_files.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

// Counts what passes, for the marker of a finished arm.
class CountedSink : public ObservationSink {
 public:
  explicit CountedSink(std::unique_ptr<ObservationSink> inner) : inner_(std::move(inner)) {}
  void record(const Observation& observation) override {
    inner_->record(observation);
    ++count_;
  }
  void flush() override { inner_->flush(); }
  void sync() override { inner_->sync(); }
  int64_t count() const { return count_; }

 private:
  std::unique_ptr<ObservationSink> inner_;
  int64_t count_ = 0;
};

}  // namespace

struct ArmRecorder::State {
  State(fs::path folder_in, bool resume_in, int64_t first_step_in)
      : folder(std::move(folder_in)),
        resume(resume_in),
        first_step(first_step_in),
        steps(folder / run_files::kSteps, /*append=*/first_step > 0) {}

  fs::path folder;
  bool resume;
  int64_t first_step;
  bool keeps_checkpoints = false;
  std::map<int64_t, std::unique_ptr<CountedSink>> sinks;
  std::map<int64_t, ReplayCheckedWriter*> replayed;  // owned by the sinks
  LineWriter steps;
  std::map<int64_t, LineWriter> steps_of_ranks;
};

ArmRecorder::ArmRecorder(fs::path folder, bool resume, int64_t first_step)
    : state_(std::make_unique<State>(std::move(folder), resume, first_step)) {
  // A stream that had been recorded must be seen again, even if this time nobody asks for its rank.
  for (int64_t rank = 0; resume && fs::exists(run_files::stream(state_->folder, rank)); ++rank) {
    sink(rank);
  }
}

ArmRecorder::~ArmRecorder() = default;

const fs::path& ArmRecorder::folder() const { return state_->folder; }

int64_t ArmRecorder::first_step() const { return state_->first_step; }

ObservationSink& ArmRecorder::sink(int64_t rank) {
  std::unique_ptr<CountedSink>& sink = state_->sinks[rank];
  if (sink == nullptr) {
    const fs::path file = run_files::stream(state_->folder, rank);
    std::unique_ptr<ObservationSink> writer;
    if (state_->resume) {
      auto checked = std::make_unique<ReplayCheckedWriter>(file, state_->first_step);
      state_->replayed[rank] = checked.get();
      writer = std::move(checked);
    } else {
      writer = std::make_unique<StreamWriter>(file);
    }
    sink = std::make_unique<CountedSink>(std::move(writer));
  }
  return *sink;
}

void ArmRecorder::record_step(const StepRecord& record) {
  flush();
  state_->steps.write(line_from_step_record(record));
  state_->steps.flush();
}

void ArmRecorder::record_step_of(int64_t rank, const StepRecord& record) {
  LineWriter& steps =
      state_->steps_of_ranks
          .try_emplace(rank, run_files::steps(state_->folder, rank), state_->first_step > 0)
          .first->second;
  steps.write(line_from_step_record(record));
  steps.flush();
}

void ArmRecorder::record_guards(const std::vector<GuardRecord>& guards) {
  write_guards(state_->folder / run_files::kGuards, guards);
}

void ArmRecorder::record_graphs(const std::vector<std::string>& graphs) {
  for (size_t i = 0; i < graphs.size(); ++i) {
    write_text_file(run_files::graph(state_->folder, static_cast<int64_t>(i)).string(), graphs[i]);
  }
}

void ArmRecorder::keep_checkpoints() { state_->keeps_checkpoints = true; }

void ArmRecorder::flush() {
  for (const auto& [rank, sink] : state_->sinks) sink->flush();
}

void ArmRecorder::finish() {
  Json counts = Json::array();
  for (const auto& [rank, sink] : state_->sinks) {
    sink->flush();
    sink->sync();
    counts.push_back(sink->count());
  }
  for (const auto& [rank, writer] : state_->replayed) writer->finish();
  state_->steps.flush();
  state_->steps.sync();
  for (auto& [rank, steps] : state_->steps_of_ranks) steps.sync();
  if (!state_->keeps_checkpoints) run_files::remove_checkpoints(state_->folder);
  Json files = Json::object();
  for (const std::string& name : run_files::of_arm(state_->folder)) {
    files[name] = run_files::digest_of_file(state_->folder / name);
  }
  const Json marker = {{"arm", state_->folder.filename().string()},
                       {"observations", std::move(counts)},
                       {"files", std::move(files)}};
  write_text_file((state_->folder / run_files::kFinished).string(), marker.dump() + "\n");
}

}  // namespace samebits
