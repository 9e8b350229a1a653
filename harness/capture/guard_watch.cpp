#include "harness/capture/guard_watch.h"

namespace samebits {
namespace {

thread_local GuardWatch* tls_watch = nullptr;

}  // namespace

GuardWatchGuard::GuardWatchGuard(GuardWatch& watch) { tls_watch = &watch; }

GuardWatchGuard::~GuardWatchGuard() { tls_watch = nullptr; }

GuardWatch* guard_watch() { return tls_watch; }

}  // namespace samebits
