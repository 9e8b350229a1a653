#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/program_settings.h"
#include "harness/case/relation.h"
#include "harness/plant/fault.h"
#include "harness/workload/settings.h"

// A case: what is run, in which arms, and what must hold between them. Plain values with their
// defaults in place, made and validated once by load_case, const after. cases/case.schema.json
// publishes the same rules.
namespace samebits {

// Tensors that an arm keeps beside its stream, so that bounds judge their elements.
struct KeepSettings {
  std::string sites;                 // a regular expression of PCRE2; "": none
  int64_t bytes = int64_t{1} << 30;  // of all of them, at most
};

// An arm as a case describes it: every setting of the case, with this arm's overrides applied.
struct CaseArm : ArmSettings {  // the name is also that of its folder: [a-z0-9][a-z0-9_-]*
  int64_t steps = 10;
  double timeout_s = 600;
  int64_t checkpoint_every = 0;  // steps; 0: an arm that was cut off starts from its first one
  Nonfinite nonfinite = Nonfinite::kRefuse;
  // Between what the generator and the trainer say of the same tokens. Absent: bit_exact where the
  // numerics are batch-invariant, else nothing (compare/on_policy.h).
  std::optional<Relation> on_policy;
  Repeats repeats;
  KeepSettings keep;
  Fault plant;              // that the arm plants into itself
  ProgramSettings program;  // where is_program(): nothing else but seed and limits then counts
  std::string canonical;    // its settings as one line of JSON, paths as the case writes them

  bool is_program() const { return workload.kind == WorkloadKind::kProgram; }
};

struct Case {
  std::string name;
  std::filesystem::path file;
  std::string model;          // as the case writes it; empty where every arm is a program
  std::vector<CaseArm> arms;  // in the order of the file; the others are shown against the first
  std::vector<Relation> relations;
  bool requires_golden = false;  // an arm without a golden that was compared fails

  // The arm of that name; InputError that names the nearest one when there is none.
  const CaseArm& arm(const std::string& name) const;
};

// Reads and validates a case. `overrides` are `key=value` for the whole case or `ARM.key=value` for
// one arm; dots descend, the value is read as JSON, or as a string where it is not JSON. A relative
// path is relative to the case's file; one given as an override, to the working directory.
// Throws InputError.
Case load_case(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

// The same from text; `file` is named in errors and anchors a relative model folder.
Case parse_case(const std::string& text, const std::filesystem::path& file,
                const std::vector<std::string>& overrides = {});

// The case reduced to these arms, and to what its relations say about them. Empty: all.
Case select_arms(const Case& whole, const std::vector<std::string>& names);

// The resolved case as JSON (two spaces of indent): for the manifest.
std::string canonical_json(const Case& c);

// An arm's canonical settings without what never decides a bit: `steps`, `timeout_s`,
// `checkpoint_every`, `nonfinite`, `on_policy`, `repeats`, `keep` and, where the contract's kernels
// serve every operator, `device`, `mesh.kind`, `mesh.dp`, `mesh.optimizer_state` and
// `workload.max_train_tokens`. LibTorch's own
// give other bits on a card, and packed otherwise.
std::string deciding_settings(const std::string& canonical);

// 32 hex digits over what decides an arm's bits (deciding_settings). The model enters as the case
// writes it, so the digest does not depend on the machine.
std::string settings_digest(const CaseArm& arm);
std::string digest_of_settings(const std::string& canonical);

// Canonical settings that an earlier version wrote, with the defaults of keys that it did not know
// and without keys that say their default. Throws InputError, which names `where`.
std::string with_defaults(const std::string& canonical, const std::string& where);

}  // namespace samebits
