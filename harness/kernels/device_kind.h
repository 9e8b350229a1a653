#pragma once

#include "harness/base/names.h"

namespace samebits {

enum class DeviceKind { kCpu, kCuda };

inline const Names<DeviceKind>& names_of(DeviceKind) {
  static const Names<DeviceKind> names = {{"cpu", DeviceKind::kCpu}, {"cuda", DeviceKind::kCuda}};
  return names;
}

}  // namespace samebits
