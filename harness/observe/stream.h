#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/observe/observation.h"

// Observation streams: one JSON line an observation, in program order, appended as it happens. A
// killed run leaves whole lines and at most one torn tail.
namespace samebits {

// What an arm reports to. record() in program order; flush() at the end of a step.
class ObservationSink {
 public:
  virtual ~ObservationSink() = default;
  virtual void record(const Observation& observation) = 0;
  virtual void flush() = 0;
  virtual void sync() {}  // what was flushed is on the disk afterwards, where there is one
};

// Appends lines to a file of its own, whole lines a write(2), nothing ever rewritten.
// Disk errors (a full disk) are RunError; what had been flushed before stays, cut to whole lines.
class LineWriter {
 public:
  // Creates `file`; RunError if it exists. With `append`, continues an existing one.
  explicit LineWriter(const std::filesystem::path& file, bool append = false);
  ~LineWriter();  // flushes what it can; call flush() to learn of errors
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  void write(const std::string& line);  // without its newline
  void flush();
  void sync();  // what was flushed is on the disk afterwards

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
  int64_t whole_bytes_ = 0;  // in the file; it ends in a whole line
  std::string pending_;
};

class StreamWriter : public ObservationSink {
 public:
  explicit StreamWriter(const std::filesystem::path& file) : lines_(file) {}
  void record(const Observation& observation) override;
  void flush() override { lines_.flush(); }
  void sync() override { lines_.sync(); }

 private:
  LineWriter lines_;
};

// Continues the stream of an arm that was cut off: the arm replays from its first step, and every
// observation that had been recorded must be seen again, bit for bit; what follows is appended.
// record() throws RunError at the first that differs.
class ReplayCheckedWriter : public ObservationSink {
 public:
  // `file` may be absent, empty or end in a torn line, which is cut off first. What was recorded of
  // steps before `first_step` stands; the arm goes on from there.
  explicit ReplayCheckedWriter(const std::filesystem::path& file, int64_t first_step = 0);
  void record(const Observation& observation) override;
  void flush() override { lines_->flush(); }
  void sync() override { lines_->sync(); }

  // RunError when fewer observations were seen than had been recorded. Call at the arm's end.
  void finish() const;
  int64_t recorded() const { return static_cast<int64_t>(recorded_.size()); }

 private:
  std::filesystem::path file_;
  std::vector<Observation> recorded_;
  size_t next_ = 0;
  std::optional<LineWriter> lines_;
};

// What a stream's file holds.
struct StreamContents {
  std::vector<Observation> observations;
  int64_t whole_bytes = 0;  // up to the last whole line
  int64_t torn_bytes = 0;   // of an unfinished last line, 0 normally
};

// Reads a stream, or what a killed run left of one. A torn last line is reported in the result;
// garbage before it is an InputError that names line and byte offset.
StreamContents read_stream(const std::filesystem::path& file);
StreamContents stream_from_text(std::string_view text, const std::string& file);

// Keeps the observations in memory; for tests and for comparisons that need no folder.
class MemorySink : public ObservationSink {
 public:
  void record(const Observation& observation) override { observations.push_back(observation); }
  void flush() override {}
  std::vector<Observation> observations;
};

}  // namespace samebits
