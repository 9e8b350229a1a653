#pragma once

#include <c10/util/Exception.h>

#include <string>
#include <vector>

#include "harness/detect/subject.h"

// One function a detector; detectors.cpp has the list, and what each looks for. All return what
// they found, a line each; nothing: no alarm. What a program throws is for the detector whose
// business it is; the others look at what came before.
namespace samebits {

using Findings = std::vector<std::string>;

Findings symbol_mismatches(const Subject& subject);
Findings shard_differences(const Subject& subject);
Findings moved_addresses(const Subject& subject);
Findings overlapping_outputs(const Subject& subject);
Findings rows_that_depend_on_others(const Subject& subject);
Findings undeclared_orders(const Subject& subject);
Findings padding_that_leaks(const Subject& subject);
Findings false_guards(const Subject& subject);
Findings uncapturable(const Subject& subject);
Findings boundary_changes(const Subject& subject);
Findings copies_apart(const Subject& subject);
Findings registry_gaps(const Subject& subject);

// Calls the program once. False where it throws c10::Error.
bool runs_eagerly(const Subject& subject, int64_t size);

// The first line of what c10 says.
std::string first_line_of(const c10::Error& error);

}  // namespace samebits
