#pragma once

#include <string>

// What this build and this machine have besides the CPU.
namespace samebits {

// Why arms cannot run on a CUDA device here, for a person; "" where they can. Cards of another
// architecture than sm_90 are refused by their name: their matrix step is not the contract's.
std::string why_no_cuda();

// Throws c10::Error in one line if a kernel that has finished met a value that its operator refuses
// (cuda/fault.h). To be called where results were read back; nothing to do in a build without CUDA.
void throw_device_fault();

}  // namespace samebits
