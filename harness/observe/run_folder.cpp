#include "harness/observe/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/json.h"
#include "harness/observe/guard_file.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

constexpr char kLockName[] = ".lock";
constexpr char kCaseName[] = "case.json";
constexpr char kStepsName[] = "steps.jsonl";
constexpr char kGuardsName[] = "guards.json";
constexpr char kFinishedName[] = "finished.json";

fs::path stream_path(const fs::path& folder, int64_t rank) {
  return folder / ("rank-" + std::to_string(rank) + ".jsonl");
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw InputError(folder.string(), error.message(), "a folder that can be made");
}

// The claim of a running process on the folder. It ends with the process, however that ends.
FileDescriptor lock_folder(const fs::path& folder) {
  const fs::path file = folder / kLockName;
  FileDescriptor lock(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (lock.get() < 0) {
    throw InputError(folder.string(), std::strerror(errno), "a folder that can be written");
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    throw InputError(folder.string(), "a run in progress in it",
                     "a folder of its own for this run");
  }
  return lock;
}

void refuse_content(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == kLockName) continue;
    const bool is_run = fs::exists(folder / kCaseName);
    throw InputError(folder.string(),
                     is_run ? "a run recorded in it" : "other files in it (" + name + ")",
                     is_run ? "a new folder, or --resume to go on with that run" : "a new folder");
  }
}

std::string first_difference(const std::string& found, const std::string& expected) {
  size_t i = 0;
  while (i < found.size() && i < expected.size() && found[i] == expected[i]) ++i;
  const size_t begin = i == 0 ? 0 : found.rfind('\n', i - 1) + 1;
  std::string line = found.substr(begin, found.find('\n', begin) - begin);
  return line.substr(std::min(line.find_first_not_of(' '), line.size()));
}

int64_t total(const std::vector<int64_t>& counts) {
  int64_t sum = 0;
  for (const int64_t count : counts) sum += count;
  return sum;
}

// Counts what passes, for the marker of a finished arm.
class CountedSink : public ObservationSink {
 public:
  explicit CountedSink(std::unique_ptr<ObservationSink> inner) : inner_(std::move(inner)) {}
  void record(const Observation& observation) override {
    inner_->record(observation);
    ++count_;
  }
  void flush() override { inner_->flush(); }
  int64_t count() const { return count_; }

 private:
  std::unique_ptr<ObservationSink> inner_;
  int64_t count_ = 0;
};

}  // namespace

struct ArmRecorder::State {
  State(fs::path folder_in, bool resume_in)
      : folder(std::move(folder_in)), resume(resume_in), steps(folder / kStepsName) {}

  fs::path folder;
  bool resume;
  std::map<int64_t, std::unique_ptr<CountedSink>> sinks;
  std::map<int64_t, ReplayCheckedWriter*> replayed;  // owned by the sinks
  LineWriter steps;
};

ArmRecorder::ArmRecorder(fs::path folder, bool resume)
    : state_(std::make_unique<State>(std::move(folder), resume)) {
  // A stream that had been recorded must be seen again, even if this time nobody asks for its rank.
  for (int64_t rank = 0; resume && fs::exists(stream_path(state_->folder, rank)); ++rank)
    sink(rank);
}

ArmRecorder::~ArmRecorder() = default;

ObservationSink& ArmRecorder::sink(int64_t rank) {
  std::unique_ptr<CountedSink>& sink = state_->sinks[rank];
  if (sink == nullptr) {
    const fs::path file = stream_path(state_->folder, rank);
    std::unique_ptr<ObservationSink> writer;
    if (state_->resume) {
      auto checked = std::make_unique<ReplayCheckedWriter>(file);
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
  for (const auto& [rank, sink] : state_->sinks) sink->flush();
  state_->steps.write(line_from_step_record(record));
  state_->steps.flush();
}

void ArmRecorder::record_guards(const std::vector<GuardRecord>& guards) {
  write_guards(state_->folder / kGuardsName, guards);
}

void ArmRecorder::finish() {
  Json counts = Json::array();
  for (const auto& [rank, sink] : state_->sinks) {
    sink->flush();
    counts.push_back(sink->count());
  }
  for (const auto& [rank, writer] : state_->replayed) writer->finish();
  state_->steps.flush();
  const Json marker = {{"observations", std::move(counts)}};
  write_text_file((state_->folder / kFinishedName).string(), marker.dump() + "\n");
}

RunFolder::RunFolder(fs::path path, bool resume, FileDescriptor lock)
    : path_(std::move(path)), resume_(resume), lock_(std::move(lock)) {}

RunFolder RunFolder::create(const fs::path& folder, const Case& c) {
  make_folder(folder);
  refuse_content(folder);
  FileDescriptor lock = lock_folder(folder);
  refuse_content(folder);  // another process may have been here between the two lines above
  write_text_file((folder / kCaseName).string(), canonical_json(c) + "\n");
  return RunFolder(folder, /*resume=*/false, std::move(lock));
}

RunFolder RunFolder::resume(const fs::path& folder, const Case& c) {
  const fs::path file = folder / kCaseName;
  if (!fs::exists(file)) {
    throw InputError(folder.string(), "no case.json", "the folder of a run that was cut off");
  }
  FileDescriptor lock = lock_folder(folder);
  const std::string recorded = read_text_file(file.string());
  const std::string wanted = canonical_json(c) + "\n";
  if (recorded != wanted) {
    throw InputError(file.string(), "a run of another case: " + first_difference(recorded, wanted),
                     "the case to resume: " + first_difference(wanted, recorded));
  }
  return RunFolder(folder, /*resume=*/true, std::move(lock));
}

bool RunFolder::is_finished(const std::string& arm) const {
  return fs::exists(path_ / arm / kFinishedName);
}

std::unique_ptr<ArmRecorder> RunFolder::start_arm(const std::string& arm) {
  const fs::path folder = path_ / arm;
  make_folder(folder);
  fs::remove(folder / kStepsName);  // clocks of the run that was cut off; the arm starts over
  return std::unique_ptr<ArmRecorder>(new ArmRecorder(folder, resume_));
}

ArmRecording read_arm(const fs::path& arm_folder) {
  ArmRecording recording;
  recording.folder = arm_folder;
  const fs::path bare = arm_folder.has_filename() ? arm_folder : arm_folder.parent_path();
  recording.arm = bare.filename().string();
  if (!fs::exists(stream_path(arm_folder, 0))) {
    throw InputError(arm_folder.string(), "no rank-0.jsonl", "the folder of a recorded arm");
  }
  std::vector<int64_t> counts;
  for (int64_t rank = 0; fs::exists(stream_path(arm_folder, rank)); ++rank) {
    recording.ranks.push_back(read_stream(stream_path(arm_folder, rank)));
    counts.push_back(static_cast<int64_t>(recording.ranks.back().observations.size()));
  }
  recording.steps = read_step_records(arm_folder / kStepsName);
  recording.guards = read_guards(arm_folder / kGuardsName);

  const fs::path marker = arm_folder / kFinishedName;
  recording.finished = fs::exists(marker);
  if (recording.finished) {
    const Json parsed = read_json_file(marker);
    const JsonReader json(parsed, marker.string());
    std::vector<int64_t> recorded;
    for (const JsonReader& count : json.required("observations").array()) {
      recorded.push_back(count.integer(0));
    }
    if (recorded != counts) {
      throw InputError(arm_folder.string(), std::to_string(total(counts)) + " observations",
                       std::to_string(total(recorded)) + ", which the finished arm had");
    }
  }
  return recording;
}

Case case_of_run(const fs::path& run_folder) {
  const fs::path file = run_folder / kCaseName;
  if (!fs::exists(file)) {
    throw InputError(run_folder.string(), "no case.json", "the folder of a run");
  }
  return load_case(file);
}

}  // namespace samebits
