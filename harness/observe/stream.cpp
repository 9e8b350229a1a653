#include "harness/observe/stream.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "harness/base/error.h"
#include "harness/base/file.h"

namespace samebits {
namespace {

// Lines are handed to the kernel when this many bytes wait, and at the end of a step.
constexpr size_t kFlushBytes = 64 * 1024;

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& what, int error) {
  throw RunError(file.string() + ": " + what + ": " + std::strerror(error));
}

std::string brief(const Observation& observation) {
  std::string text = "step " + std::to_string(observation.step) + " " + observation.phase +
                     " rank " + std::to_string(observation.rank) + " " + observation.site;
  if (observation.bits) text += " = " + scalar_text(observation);
  return text + " (digest " + observation.digest.hex() + ")";
}

}  // namespace

LineWriter::LineWriter(const std::filesystem::path& file, bool append) : file_(file) {
  descriptor_ = open_for_appending(file.string(), /*is_new=*/!append).release();
  const off_t size = ::lseek(descriptor_, 0, SEEK_END);
  whole_bytes_ = size < 0 ? 0 : size;
}

LineWriter::~LineWriter() {
  try {
    flush();
  } catch (const RunError&) {  // NOLINT(bugprone-empty-catch): flush() has told who asked
  }
  ::close(descriptor_);
}

void LineWriter::write(const std::string& line) {
  pending_ += line;
  pending_ += '\n';
  if (pending_.size() >= kFlushBytes) flush();
}

void LineWriter::flush() {
  size_t done = 0;
  int error = 0;
  while (done < pending_.size() && error == 0) {
    const ssize_t n = ::write(descriptor_, pending_.data() + done, pending_.size() - done);
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      error = n == 0 ? ENOSPC : errno;
    }
  }
  if (error == 0) {
    whole_bytes_ += static_cast<int64_t>(pending_.size());
    pending_.clear();
    return;
  }
  // Keep what fitted, as whole lines; the rest waits, should there be room later.
  const size_t last_newline = pending_.rfind('\n', done == 0 ? 0 : done - 1);
  const size_t kept = done == 0 || last_newline == std::string::npos ? 0 : last_newline + 1;
  whole_bytes_ += static_cast<int64_t>(kept);
  pending_.erase(0, kept);
  const bool is_cut = ::ftruncate(descriptor_, whole_bytes_) == 0;
  fail(file_, is_cut ? "cannot be written" : "cannot be written, and its last line is torn", error);
}

void LineWriter::sync() {
  if (::fsync(descriptor_) != 0) fail(file_, "cannot be synced", errno);
}

void StreamWriter::record(const Observation& observation) {
  lines_.write(line_from_observation(observation));
}

ReplayCheckedWriter::ReplayCheckedWriter(const std::filesystem::path& file, int64_t first_step)
    : file_(file) {
  if (std::filesystem::exists(file)) {
    StreamContents contents = read_stream(file);
    if (contents.torn_bytes > 0) {
      std::error_code error;
      std::filesystem::resize_file(file, static_cast<uintmax_t>(contents.whole_bytes), error);
      if (error) fail(file, "its torn last line cannot be cut off", error.value());
    }
    recorded_ = std::move(contents.observations);
    while (next_ < recorded_.size() && recorded_[next_].step < first_step) ++next_;
  }
  lines_.emplace(file, /*append=*/true);
}

void ReplayCheckedWriter::record(const Observation& observation) {
  if (next_ == recorded_.size()) {
    lines_->write(line_from_observation(observation));
    return;
  }
  const Observation& before = recorded_[next_];
  if (observation != before) {
    throw RunError(file_.string() + ": line " + std::to_string(next_ + 1) +
                   ": the replay parted from what had been recorded: now " + brief(observation) +
                   ", before " + brief(before) + "; start the run again in a new folder");
  }
  ++next_;
}

void ReplayCheckedWriter::finish() const {
  if (next_ == recorded_.size()) return;
  throw RunError(file_.string() + ": the replay saw " + std::to_string(next_) + " of the " +
                 std::to_string(recorded_.size()) +
                 " observations that had been recorded; next is " + brief(recorded_[next_]));
}

StreamContents stream_from_text(std::string_view text, const std::string& file) {
  StreamContents contents;
  size_t begin = 0;
  for (int64_t number = 1; begin < text.size(); ++number) {
    const size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) {
      contents.torn_bytes = static_cast<int64_t>(text.size() - begin);
      break;
    }
    const std::string where =
        file + ": line " + std::to_string(number) + " (byte " + std::to_string(begin) + ")";
    contents.observations.push_back(observation_from_line(text.substr(begin, end - begin), where));
    begin = end + 1;
  }
  contents.whole_bytes = static_cast<int64_t>(begin);
  return contents;
}

StreamContents read_stream(const std::filesystem::path& file) {
  return stream_from_text(read_text_file(file.string()), file.string());
}

}  // namespace samebits
