#include "harness/dispatch/launch.h"

#include <stdexcept>

namespace samebits {
namespace {

thread_local LaunchSink* tls_sink = nullptr;

}  // namespace

LaunchCaptureGuard::LaunchCaptureGuard(LaunchSink& sink) {
  if (tls_sink != nullptr) throw std::logic_error("this thread captures already");
  tls_sink = &sink;
}

LaunchCaptureGuard::~LaunchCaptureGuard() { tls_sink = nullptr; }

LaunchSink* launch_sink() { return tls_sink; }

}  // namespace samebits
