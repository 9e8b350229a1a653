#include "harness/run/program_arm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/stopwatch.h"
#include "harness/logs/recording.h"
#include "harness/observe/run_files.h"
#include "harness/run/checkouts.h"
#include "harness/run/program_call.h"

namespace samebits {
namespace {

namespace fs = std::filesystem;

// The PATH in which the arm's program is looked for: its own, where it is given one.
std::string path_of(const ProgramSettings& program) {
  if (const auto own = program.env.find("PATH"); own != program.env.end()) return own->second;
  const char* path = std::getenv("PATH");
  return path == nullptr ? "/usr/bin:/bin" : path;
}

// Ascending. Those of a log may be far apart: tokens, seconds, frames of a game.
std::vector<int64_t> steps_of(const ArmRecording& recording) {
  std::vector<int64_t> steps;
  for (const StreamContents& rank : recording.ranks) {
    for (const Observation& each : rank.observations) {
      if (steps.empty() || steps.back() != each.step) steps.push_back(each.step);
    }
  }
  std::sort(steps.begin(), steps.end());
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  return steps;
}

// What a program that ended well has written.
fs::path written_file(const ProgramSettings& program, const fs::path& out,
                      const ProgramCall& call) {
  if (!program.has_log()) return run_files::stream(out, 0);
  return program.observations == ProgramSettings::kPrinted ? call.output
                                                           : out / program.observations;
}

}  // namespace

void check_program(const CaseArm& arm) {
  const ProgramSettings& program = arm.program;
  if (!program.recorded.empty()) {
    const ArmRecording recording = read_recording(program.recorded, program.log);
    const bool is_cut_off = recording.is_cut_off();
    if (!is_cut_off && !steps_of(recording).empty()) return;
    throw InputError(fmt::format("arm {}: recorded", arm.name),
                     program.recorded.string() +
                         (is_cut_off ? ", which was cut off" : ", which has no observation"),
                     "a finished recording");
  }
  if (program.is_of_commit() && program.checkout.empty()) {  // its files are not there yet
    commit_of(arm);
    return;
  }
  const fs::path cwd = program.working_folder();
  if (!fs::is_directory(cwd)) {
    throw InputError(fmt::format("arm {}: cwd", arm.name), quoted(cwd.string()), "a folder");
  }
  if (find_program(program.command.front(), cwd, path_of(program)).empty()) {
    throw InputError(fmt::format("arm {}: command", arm.name), quoted(program.command.front()),
                     "a program: a file that may be executed, in PATH or relative to cwd");
  }
}

ProgramArm::ProgramArm(CaseArm settings, Level level, ArmRecorder& recorder, Activity& activity,
                       Progress& progress)
    : settings_(std::move(settings)),
      level_(level),
      recorder_(recorder),
      activity_(activity),
      progress_(progress) {}

fs::path ProgramArm::working_folder() const {
  return fs::absolute(recorder_.folder() / run_files::kProgram);
}

void ProgramArm::run(int64_t run) {
  fs::remove_all(working_folder());
  const bool keeps = run == 0 && !settings_.keep.sites.empty();
  const std::string keep = keeps ? "/" + settings_.keep.sites + "/" : "";
  const ProgramCall call = call_of(
      settings_, {working_folder(), level_, keep, run_files::output(recorder_.folder(), run)});
  fs::remove(call.output);
  if (settings_.program.has_log()) make_folder(working_folder());
  std::string name = settings_.name;
  if (settings_.program.repeat > 1) {
    name += fmt::format(", run {} of {}", run + 1, settings_.program.repeat);
  }
  activity_.enter("arm " + name);
  const Stopwatch clock;
  const ProgramEnd end = run_program(
      call, [&] { progress_.show_briefly(fmt::format("{}: {:.0f} s", name, clock.seconds())); });
  const auto fail = [&](const std::string& what) {
    const std::string last = last_lines(call.output);
    throw RunError(fmt::format("arm {}: {} {}; {}", name, call.command.front(), what,
                               last.empty()
                                   ? "it printed nothing"
                                   : fmt::format("the end of {}: {}", call.output.string(), last)));
  };
  if (!end.is_good()) fail(end.text());
  // What is there is taken out of it.
  if (fs::is_symlink(working_folder())) fail("made {out} a link to another folder");
  const fs::path written = written_file(settings_.program, working_folder(), call);
  if (!fs::exists(written)) {
    const std::string what = settings_.program.has_log() ? written.filename().string() : "a stream";
    fail("ended without " + what + " in {out}, " + working_folder().string());
  }
  if (!fs::is_regular_file(written)) {
    fail("ended and left " + written.filename().string() + ", which is no regular file");
  };
  progress_.show(fmt::format("{}: {:.1f} s, {:.1f} s of processor time", name, end.seconds,
                             end.processor_seconds));
  if (run == 0) {
    cost_ = {
        .phase = "program", .seconds = end.seconds, .processor_seconds = end.processor_seconds};
  }
  ArmRecording recording;
  try {
    recording = observed(call);
  } catch (const InputError& error) {
    fail(fmt::format("ended and left what cannot be read: {}", error.what()));
  }
  if (recording.has_torn_line()) fail("ended in the last line of its stream, which has no newline");
  if (recording.is_cut_off()) fail("ended before its recording did");
  if (steps_of(recording).empty()) fail("ended and observed nothing");
  if (run == 0) {
    recording_ = std::move(recording);
  } else {
    keep_repeat(run, recording);
  }
}

ArmRecording ProgramArm::observed(const ProgramCall& call) const {
  const ProgramSettings& program = settings_.program;
  if (!program.has_log()) return read_whole_arm(working_folder());
  ArmRecording recording =
      read_recording(written_file(program, working_folder(), call), program.log);
  if (recording.log) recording.log->file = program.observations.string();  // what it is called
  return recording;
}

// The stream of a later run, to be compared with the first one's when the arm is judged.
void ProgramArm::keep_repeat(int64_t run, const ArmRecording& recording) {
  if (recording.log) {
    const fs::path file = run_files::repeat(recorder_.folder(), run, 0);
    fs::remove(file);
    StreamWriter stream(file);
    for (const Observation& each : recording.ranks.front().observations) stream.record(each);
    stream.flush();
    return;
  }
  for (int64_t rank = 0; fs::exists(run_files::stream(working_folder(), rank)); ++rank) {
    fs::rename(run_files::stream(working_folder(), rank),
               run_files::repeat(recorder_.folder(), run, rank));
  }
}

void ProgramArm::check_kept() const {
  if (settings_.keep.sites.empty()) return;
  size_t bytes = 0;
  for (const auto& file : recording_.kept) {
    for (const TensorView& each : file->tensors()) bytes += each.data.size();
  }
  const std::string arm =
      fmt::format("arm {}: keep, at level {}: ", settings_.name, to_string(level_));
  if (bytes == 0) {
    throw RunError(arm + "its program kept no tensor at a site that matches " +
                   quoted(settings_.keep.sites));
  }
  if (bytes > static_cast<size_t>(settings_.keep.bytes)) {
    throw RunError(arm + fmt::format("its program kept {} bytes, more than keep.bytes, {}", bytes,
                                     settings_.keep.bytes));
  }
}

void ProgramArm::take_beside_streams() {
  for (size_t i = 0; i < recording_.ranks.size(); ++i) {
    const auto rank = static_cast<int64_t>(i);
    for (const fs::path& file :
         {run_files::sites(working_folder(), rank), run_files::kept(working_folder(), rank)}) {
      if (fs::exists(file)) fs::rename(file, recorder_.folder() / file.filename());
    }
  }
}

void ProgramArm::prepare() {
  const ProgramSettings& program = settings_.program;
  if (!program.recorded.empty()) {
    recording_ = read_recording(program.recorded, program.log);
    for (const auto& kept : recording_.kept) {
      const fs::path file = kept->path();
      fs::copy_file(file, recorder_.folder() / file.filename(),
                    fs::copy_options::overwrite_existing);
    }
  } else {
    for (int64_t each = 0; each < program.repeat; ++each) {
      run(each);
      if (each > 0) continue;
      check_kept();
      take_beside_streams();
    }
    fs::remove_all(working_folder());
  }
  if (recording_.log) write_log_source(recorder_.folder(), *recording_.log);
  taken_.assign(recording_.ranks.size(), 0);
  steps_ = steps_of(recording_);
}

StepRecord ProgramArm::step() {
  StepRecord record{.step = steps_[next_], .witness = {}};
  if (next_ == 0 && cost_) record.phases = {*cost_};
  for (size_t rank = 0; rank < recording_.ranks.size(); ++rank) {
    const std::vector<Observation>& all = recording_.ranks[rank].observations;
    ObservationSink& sink = recorder_.sink(static_cast<int64_t>(rank));
    for (size_t& i = taken_[rank]; i < all.size() && all[i].step <= record.step; ++i) {
      sink.record(all[i]);
    }
  }
  ++next_;
  return record;
}

void ProgramArm::stop() { recording_ = {}; }

}  // namespace samebits
