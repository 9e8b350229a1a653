#pragma once

#include <string>

namespace samebits {

// An operator that runs others one by one says for which operator of the program it runs them: the
// tiles of a product, and what joins and rounds them. For the guard's lifetime, on this thread;
// `op` lives as long as the process. Guards do not nest.
class PartOf {
 public:
  explicit PartOf(const std::string& op);
  ~PartOf();
  PartOf(const PartOf&) = delete;
  PartOf& operator=(const PartOf&) = delete;

  // Null where no guard lives.
  static const std::string* op();
};

}  // namespace samebits
