#pragma once

#include <filesystem>

#include "harness/case/program_settings.h"
#include "harness/observe/arm_recording.h"

namespace samebits {

// The recording at `path`: the folder of an arm (read_whole_arm), or a log, which gives one stream
// of float64 or float32 scalars and says how exactly it holds them (ArmRecording::log). InputError
// where it is neither, and where `settings` say how to read a log and it is none.
ArmRecording read_recording(const std::filesystem::path& path, const LogSettings& settings = {});

}  // namespace samebits
