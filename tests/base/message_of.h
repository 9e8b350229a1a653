#pragma once

#include <gtest/gtest.h>

#include <string>

namespace samebits {

// The message of the `Error` that `call` throws; a test failure, and "", if it throws none.
template <typename Error, typename Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << "more than one line";
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace samebits
