#pragma once

#include <string>
#include <vector>

namespace samebits {

// What stands between a run and a program that it starts (`samebits supervise`), so that nothing of
// the program outlives the run. Runs `command` in the working directory and with the environment of
// this process, in a session of its own, and waits for its end, for SIGTERM, or for the end of the
// process that started this one; then kills whatever the program has started and left, daemons
// included. Returns the program's exit code, 128 + the signal where one ended it, 127 where it
// could not be started (with a line on stderr).
int supervise(std::vector<std::string> command);

}  // namespace samebits
