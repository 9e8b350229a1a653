#include <cmath>

#include "harness/report/writers.h"

// Trace events as Perfetto and chrome://tracing read them. Source: "Trace Event Format", the
// document of the Chromium project: "X" is a span with begin and length in microseconds, "C" a
// counter, "M" a name.
namespace samebits {
namespace {

int64_t microseconds(double seconds) { return std::llround(seconds * 1e6); }

// One arm is a process of the trace, one rank a thread.
struct Track {
  int64_t process = 0;
  int64_t thread = 0;
};

Json name_event(const char* what, const Track& track, const std::string& name) {
  return {{"ph", "M"},
          {"name", what},
          {"pid", track.process},
          {"tid", track.thread},
          {"args", {{"name", name}}}};
}

Json span_event(const std::string& name, const char* kind, const Track& track, int64_t begin,
                int64_t length) {
  return {{"ph", "X"},           {"name", name}, {"cat", kind},  {"pid", track.process},
          {"tid", track.thread}, {"ts", begin},  {"dur", length}};
}

// What a step counted, replays among it, as a counter that jumps where the step begins.
Json counter_event(const std::string& name, const Track& track, int64_t begin, int64_t count) {
  return {{"ph", "C"},
          {"name", name + ", rank " + std::to_string(track.thread)},
          {"pid", track.process},
          {"tid", track.thread},
          {"ts", begin},
          {"args", {{"in the step", count}}}};
}

void add_steps(Json& events, const std::vector<StepRecord>& steps, const Track& track) {
  int64_t now = 0;
  for (const StepRecord& step : steps) {
    int64_t length = 0;
    for (const PhaseCost& phase : step.phases) length += microseconds(phase.seconds);
    const int64_t looking = step.observation ? microseconds(step.observation->seconds) : 0;
    length += looking;
    Json span = span_event("step " + std::to_string(step.step), "step", track, now, length);
    span["args"] = Json::object();
    if (step.is_resumed) span["args"]["resumed"] = "from a checkpoint";
    for (const auto& [name, count] : step.witness) {
      span["args"][name] = count;
      events.push_back(counter_event(name, track, now, count));
    }
    events.push_back(std::move(span));
    for (const PhaseCost& phase : step.phases) {
      Json part = span_event(phase.phase, "phase", track, now, microseconds(phase.seconds));
      part["args"] = {{"processor_seconds", phase.processor_seconds},
                      {"peak_bytes", phase.peak_bytes}};
      events.push_back(std::move(part));
      now += microseconds(phase.seconds);
    }
    if (!step.observation) continue;
    events.push_back(span_event("observing, in all phases", "observing", track, now, looking));
    now += looking;
  }
}

void add_arm(Json& events, const ArmRecording& recording, const ReportRecord::ArmRecord& arm,
             int64_t process) {
  events.push_back(name_event("process_name", {process, 0}, arm.name + " (" + arm.mode + ")"));
  for (size_t rank = 0; rank < recording.ranks.size(); ++rank) {
    const Track track{process, static_cast<int64_t>(rank)};
    events.push_back(name_event("thread_name", track, "rank " + std::to_string(rank)));
    add_steps(events, rank == 0 ? recording.steps : recording.steps_of_others[rank - 1], track);
  }
}

}  // namespace

std::string trace_report(const ReportRecord& record, const RecordedRun& run) {
  Json events = Json::array();
  for (size_t i = 0; i < record.arms.size(); ++i) {
    add_arm(events, run.recordings[i], record.arms[i], static_cast<int64_t>(i) + 1);
  }
  const Json trace = {
      {"displayTimeUnit", "ms"},
      {"metadata",
       {{"case", record.case_name},
        {"command", record.command},
        {"verdict", record.headline},
        {"layout",
         "A run records how long each phase took, not when it began: phases stand one after the "
         "other in the order in which they first ran, every arm and rank from 0 on. Steps of two "
         "ranks that stand side by side need not have run side by side."},
        {"counters",
         "Replays, launches, traces and eager calls were counted by the step, without a time of "
         "their own. Collectives were neither timed nor counted."}}},
      {"traceEvents", std::move(events)}};
  return trace.dump(1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

}  // namespace samebits
