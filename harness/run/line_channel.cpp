#include "harness/run/line_channel.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

#include "harness/base/error.h"

namespace samebits {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

std::string system_error() { return std::strerror(errno); }

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Addresses addresses_of(const std::string& host, int port, int kind) {
  addrinfo hints = {};
  hints.ai_socktype = kind;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) throw RunError(fmt::format("{}: {}", host, gai_strerror(error)));
  return Addresses(found);
}

// Closed when another program begins, so that a rank does not hold the channels of others.
FileDescriptor make_socket(int family, int kind) {
  FileDescriptor made(socket(family, kind | SOCK_CLOEXEC, 0));
  if (made.get() < 0) throw RunError("no socket: " + system_error());
  return made;
}

void send_at_once(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

void LineChannel::send(const std::string& line) {
  const std::lock_guard lock(*sending_);
  const std::string whole = line + "\n";
  for (size_t sent = 0; sent < whole.size();) {
    const ssize_t n = ::send(socket_.get(), whole.data() + sent, whole.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw RunError("the other end of a channel is gone: " + system_error());
    sent += static_cast<size_t>(n);
  }
}

bool LineChannel::receive(std::vector<std::string>& lines) {
  char buffer[1 << 16];
  ssize_t n;
  do {
    n = ::recv(socket_.get(), buffer, sizeof buffer, 0);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) return false;
  const std::string_view got(buffer, static_cast<size_t>(n));
  size_t begin = 0;
  for (size_t end; (end = got.find('\n', begin)) != std::string_view::npos; begin = end + 1) {
    tail_.append(got.substr(begin, end - begin));
    lines.push_back(std::move(tail_));
    tail_.clear();
  }
  tail_.append(got.substr(begin));
  return true;
}

std::optional<std::string> LineChannel::next_line(std::chrono::milliseconds limit) {
  const bool is_limited = limit != std::chrono::milliseconds::max();
  const auto begin = Clock::now();
  while (ready_.empty()) {
    if (is_limited) {
      const auto left = limit - std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
      pollfd waiting = {socket_.get(), POLLIN, 0};
      if (poll(&waiting, 1, static_cast<int>(std::max<int64_t>(left.count(), 0))) <= 0) {
        return std::nullopt;
      }
    }
    if (!receive(ready_)) return std::nullopt;
  }
  std::string line = std::move(ready_.front());
  ready_.erase(ready_.begin());
  return line;
}

Listener::Listener() : socket_(make_socket(AF_INET6, SOCK_STREAM)) {
  const int off = 0;  // IPv4 as well
  setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_any;
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (bind(socket_.get(), any, size) != 0 || listen(socket_.get(), SOMAXCONN) != 0 ||
      getsockname(socket_.get(), any, &size) != 0) {
    throw RunError("no port to listen at: " + system_error());
  }
  port_ = ntohs(address.sin6_port);
}

LineChannel Listener::accept() const {
  FileDescriptor accepted(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (accepted.get() < 0) throw RunError("no connection was accepted: " + system_error());
  send_at_once(accepted.get());
  return LineChannel(std::move(accepted));
}

LineChannel connect_to(const std::string& host, int port, std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  std::string why;
  do {
    const Addresses addresses = addresses_of(host, port, SOCK_STREAM);
    for (const addrinfo* each = addresses.get(); each != nullptr; each = each->ai_next) {
      FileDescriptor socket = make_socket(each->ai_family, SOCK_STREAM);
      if (connect(socket.get(), each->ai_addr, each->ai_addrlen) == 0) {
        send_at_once(socket.get());
        return LineChannel(std::move(socket));
      }
      why = system_error();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  } while (Clock::now() < deadline);
  throw RunError(fmt::format("{}:{} does not answer: {}", host, port, why));
}

// A datagram socket is connected without sending anything.
std::string address_towards(const std::string& host) {
  const Addresses addresses = addresses_of(host, /*port=*/9, SOCK_DGRAM);
  FileDescriptor socket = make_socket(addresses->ai_family, SOCK_DGRAM);
  sockaddr_storage mine = {};
  socklen_t size = sizeof mine;
  char text[NI_MAXHOST];
  if (connect(socket.get(), addresses->ai_addr, addresses->ai_addrlen) != 0 ||
      getsockname(socket.get(), reinterpret_cast<sockaddr*>(&mine), &size) != 0 ||
      getnameinfo(reinterpret_cast<sockaddr*>(&mine), size, text, sizeof text, nullptr, 0,
                  NI_NUMERICHOST) != 0) {
    throw RunError(fmt::format("{} is not reached from here: {}", host, system_error()));
  }
  return text;
}

}  // namespace samebits
