#pragma once

#include <string>
#include <vector>

namespace samebits {

// What every detector says of every side of the catalogue. The detectors are given subjects without
// names, in an order that has nothing to do with the catalogue's.
struct DetectorMatrix {
  struct Row {
    // "NAME buggy", "NAME buggy, what else", "NAME fixed", "NAME fixed, what else"
    std::string side;
    bool is_to_find;               // it fails, or works around something that is wrong
    std::vector<size_t> findings;  // how many, in the order of detectors()
  };
  std::vector<Row> rows;  // in the catalogue's order

  // Sides that are to be found and that nobody found, and others that somebody cried at.
  std::vector<std::string> missed() const;
  std::vector<std::string> false_alarms() const;
  std::string markdown() const;
};

DetectorMatrix detector_matrix();

}  // namespace samebits
