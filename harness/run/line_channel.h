#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/file.h"

namespace samebits {

// A TCP connection on which lines travel: between the process that judges a run and the ranks.
class LineChannel {
 public:
  explicit LineChannel(FileDescriptor socket)
      : socket_(std::move(socket)), sending_(std::make_unique<std::mutex>()) {}

  // Sends `line`, which has no newline in it. Any thread. RunError where the other end is gone.
  void send(const std::string& line);

  // Waits for bytes, then appends the lines that are complete; false at the end of the stream,
  // orderly or not. One thread.
  bool receive(std::vector<std::string>& lines);

  // The next line; nothing where the other end is gone, or has sent no line within the limit.
  std::optional<std::string> next_line(
      std::chrono::milliseconds limit = std::chrono::milliseconds::max());

  int descriptor() const { return socket_.get(); }
  void close() { socket_ = FileDescriptor(); }

 private:
  FileDescriptor socket_;
  std::unique_ptr<std::mutex> sending_;
  std::string tail_;                // of an unfinished line
  std::vector<std::string> ready_;  // of next_line
};

// Listens at a free port of every address of this machine.
class Listener {
 public:
  Listener();
  int port() const { return port_; }
  int descriptor() const { return socket_.get(); }
  LineChannel accept() const;

 private:
  FileDescriptor socket_;
  int port_ = 0;
};

// Connects, trying until the time limit. RunError.
LineChannel connect_to(const std::string& host, int port, std::chrono::milliseconds timeout);

// The address of this machine from which `host` is reached: where `host` reaches it. RunError.
std::string address_towards(const std::string& host);

}  // namespace samebits
