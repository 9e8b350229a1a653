#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace samebits {

// The operator calls that led to a value in which two arms differ, as arm `a` made them, and which
// of their results `b` has too.
struct CallGraph {
  enum class State {
    kEqual,      // to the bit, in both arms
    kDifferent,  // in dtype, shape or bits
    kOnlyHere,   // `b` has no such call or value
  };
  struct Node {
    std::string name;  // "samebits::rms_norm"; "" for a value that came in
    std::string site;  // where the value was observed, or the weight's; "" for no such place
    State state = State::kEqual;
    std::vector<size_t> inputs;  // nodes before this one
  };

  std::string a;  // arms
  std::string b;
  std::string place;        // "step 0, rollout, layers.0.attention_norm#0"
  std::vector<Node> nodes;  // each after its inputs; the last is the value in which they differ
  std::vector<std::string> only_in_b;  // names of calls that `b` alone made, in order
};

// Into a closer look's folder (observe/run_files.h), and from there; nullopt where there is none.
// Throws InputError for a file that is broken: a node whose inputs do not come before it, or none.
void write_call_graph(const std::filesystem::path& closer_folder, const CallGraph& graph);
std::optional<CallGraph> read_call_graph(const std::filesystem::path& closer_folder);

}  // namespace samebits
