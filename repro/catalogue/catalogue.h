#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/detect/subject.h"

namespace samebits {

enum class Side { kBuggy, kFixed };

// One way in which a bug fails.
struct Failure {
  std::string what;     // is missing or done: "no sharding strategy"
  std::string symptom;  // what its evidence contains
  Subject (*subject)();
  Outcome (*run)(const Subject& subject) = nullptr;  // null: as the repro runs
};

// Another program that gives what it should: a second fix, or a workaround.
struct Passing {
  std::string what;  // is done: "the consumer narrows"
  Subject (*subject)();
  // The detectors that find something in it nonetheless, "D1, D8": it gives right results from
  // something that is wrong. Empty: none does.
  std::string found_by = {};
};

// How a bug shows on a card: in the words of CUDA, of LibTorch or of its replays.
struct OnCard {
  std::string symptom;  // what the buggy side's evidence contains
  Subject (*subject)(Side side);
  Outcome (*run)(const Subject& subject);
};

// A named upstream bug: the mechanism that fails and the change that resolves it, as a switch over
// one code path. Its folder, repro/NAME/, holds what a person reads (README.md), the text to file
// (issue.md), the code, and, where stock torch can show it, upstream.py, which asks an installed
// torch (see repro/README.md for what it prints, and for those that have none).
struct Repro {
  std::string name;     // of its folder
  std::string title;    // one line
  bool is_silent;       // other values rather than an error
  std::string symptom;  // what the buggy side's evidence contains
  // At least one; the first is where the bug was reported or met, or, where nobody has reported it
  // yet, the change that it came with or its next of kin.
  std::vector<std::string> links;
  Subject (*subject)(Side side);
  // Where the bug fails in more ways than one: the others, each by the same code path.
  std::vector<Failure> also = {};
  std::optional<OnCard> on_card = {};  // where a GPU says it otherwise, or by graphs of its own
  Outcome (*run)(const Subject& subject) = run_subject;  // on the CPU
  std::vector<Passing> also_passes = {};                 // run as the repro runs

  Outcome run_of(const Failure& failure, const Subject& failing) const {
    return failure.run ? failure.run(failing) : run(failing);
  }
};

// By name. Every repro.cpp that is linked is in it.
const std::vector<Repro>& catalogue();

// Puts what a function returns into the catalogue, before main().
class CatalogueEntry {
 public:
  explicit CatalogueEntry(Repro (*make)());
};

// At the end of a repro.cpp.
#define SAMEBITS_REPRO(function) static const CatalogueEntry function##_entry(function)

// InputError that offers the nearest name where there is none.
const Repro& find_repro(const std::string& name);

}  // namespace samebits
