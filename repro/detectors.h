#pragma once

#include <string>
#include <vector>

#include "repro/subject.h"

namespace samebits {

// Looks for one class of bugs in a program it knows nothing about. Names are those of the
// catalogue's list, D1 to D10, and "registry".
struct Detector {
  std::string name;
  std::string looks_for;
  std::string cannot_see;
  // What it found, a line each; empty: no alarm.
  std::vector<std::string> (*find)(const Subject& subject);
};

const std::vector<Detector>& detectors();

}  // namespace samebits
