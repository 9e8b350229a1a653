#pragma once

#include <c10/util/Exception.h>

#include <string>
#include <vector>

#include "repro/subject.h"

// One function a detector; detectors.cpp has the list, and what each looks for. All return what
// they found, a line each; nothing: no alarm. What a program throws is for the detector whose
// business it is; the others look at what came before.
namespace samebits {

using Findings = std::vector<std::string>;

Findings symbol_mismatches(const Subject& subject);           // D1
Findings shard_differences(const Subject& subject);           // D2
Findings moved_addresses(const Subject& subject);             // D3
Findings overlapping_outputs(const Subject& subject);         // D4
Findings rows_that_depend_on_others(const Subject& subject);  // D5
Findings undeclared_orders(const Subject& subject);           // D6
Findings padding_that_leaks(const Subject& subject);          // D7
Findings false_guards(const Subject& subject);                // D8
Findings uncapturable(const Subject& subject);                // D9
Findings boundary_changes(const Subject& subject);            // D10
Findings registry_gaps(const Subject& subject);               // registry

// Calls the program once. False where it throws c10::Error.
bool runs_eagerly(const Subject& subject, int64_t size);

// The first line of what c10 says.
std::string first_line_of(const c10::Error& error);

}  // namespace samebits
