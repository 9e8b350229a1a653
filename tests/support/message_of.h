#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <string>

namespace samebits::testing {

// What `f` throws, in words; "" if nothing.
template <typename F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

}  // namespace samebits::testing
