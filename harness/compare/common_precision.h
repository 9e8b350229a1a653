#pragma once

#include <string>

#include "harness/observe/arm_recording.h"

// Recordings that were read from logs are compared in the coarser precision of the two, and a
// verdict over them says in which.
namespace samebits {

// True where values of `recording` are held more coarsely by the log behind `other`: float64 by one
// that has float32, and anything by lines that were printed. Two logs of one format, printed by one
// pattern, are compared as they stand: a difference that both show is never rounded away.
bool is_coarsened_by(const ArmRecording& recording, const ArmRecording& other);

// The scalars of `recording`, each as the log behind `other` would hold it.
ArmRecording coarsened(ArmRecording recording, const LogSource& other);

// A value as a log with this precision prints it, read back. NaN and infinities stay.
double printed_value(double value, const Precision& precision);

// In which precision the sites that both have were compared, coarsest first: "to 4 decimals (loss),
// to the bit of float64 (grad_norm)". "" where neither was read from a log: to the bit.
std::string precision_text(const ArmRecording& a, const ArmRecording& b);

}  // namespace samebits
