#pragma once

#include <string>
#include <vector>

#include "harness/detect/subject.h"

namespace samebits {

// Looks for one class of bugs in a program that it knows nothing about.
struct Detector {
  std::string name;    // for what it finds: "stale_address"
  std::string number;  // its column in the tables of documents: "D3"
  std::string looks_for;
  std::string cannot_see;
  // What it found, a line each; empty: no alarm.
  std::vector<std::string> (*find)(const Subject& subject);
};

const std::vector<Detector>& detectors();

// By its name, or by its number. InputError that offers the nearest name where there is none.
const Detector& find_detector(const std::string& name);

}  // namespace samebits
