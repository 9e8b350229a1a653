#pragma once

#include <string>
#include <vector>

namespace samebits::passes {

// Some calls, in the order of the program, and the operator that does them all. Arguments and
// results are words, one for each of the schema's:
//   name    an argument or a result, the same wherever the pattern says it again
//   name*   a tensor that lies on a mesh as the results do
//   false   an argument that must be false
//   0       one that must be 0
//   _       one that the fused operator does not need
struct FusePattern {
  struct Part {
    std::string op;
    std::vector<std::string> args;
    std::vector<std::string> results;
  };
  std::vector<Part> parts;
  std::string fused;
  std::vector<std::string> args;  // of the fused operator; its results are the parts', in order
};

// What is tried first comes first.
const std::vector<FusePattern>& fuse_patterns();

}  // namespace samebits::passes
