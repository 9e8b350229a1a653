#pragma once

#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/observe/arm_recording.h"

namespace samebits {

// Why an arm's own recording is no evidence, whatever it is compared with; "" in each for none.
struct Evidence {
  std::string damage;     // its files are not those that the run wrote, or are not all of them
  std::string witness;    // nothing proves that it ran in its mode
  std::string guards;     // a graph ran where a guard that it was to keep is false
  std::string plant;      // a fault that it was to plant, and that no step executed
  std::string ranks;      // a rank that is not there, or saw something else than rank 0
  std::string itself;     // where another run of the same program saw something else
  std::string nonfinite;  // the first NaN or infinity of a loss, reward, logprob, norm or weight
  std::string sync;       // weights that its sync did not bring over, though it was to
  std::string repeats;    // a step that repeats the one before, though the case does not want it

  // The first of them; "" where the recording is evidence.
  std::string first() const;
};

// Looks at a recording by itself. Every rank sees every value whole (observe/stream.h), so that all
// ranks of an arm see the same; of operators only where all do the same sequences. Of a finished
// arm every step of the case must have observations and a record, and every record must prove the
// arm's mode; of one that was cut off, those that are there. Of a loop with a weight sync, the
// weights on both sides of it must have been observed.
// Another program has no modes: it must have observed something in each of its runs, the same in
// all of them, and the steps that it was told, where it was told any. Its ranks may hold shards.
Evidence evidence_of(const CaseArm& arm, const ArmRecording& recording);

// Where the runs of a program differ; "" where they do not, or where there is one.
std::string self_difference(const ArmRecording& recording);

// Of what every rank of a local mesh holds: the ranks whose copies are not rank 0's, and where
// first; "" for none.
std::string copies_apart(const ArmRecording& recording);

// How the ranks of a recording, each of which sees every value whole, differ: the first rank that
// saw something else than rank 0, and where; "" for none.
std::string rank_difference(const ArmRecording& recording);

// Whether the ranks that only one of two recordings has are known by those that both have: ranks of
// samebits see every value whole.
bool has_all_ranks(const ArmRecording& a, const ArmRecording& b);

// The place of an observation, for a person: "step 3, train, loss".
std::string place_text(const Observation& observation);

}  // namespace samebits
