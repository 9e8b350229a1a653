#pragma once

#include <string>

#include "harness/mesh/mesh_settings.h"

namespace samebits {

// Why ranks of a mesh of this kind cannot exchange anything on this machine, for a person; "" where
// they can. Gloo is asked to gather a byte from two ranks, which are threads here; NCCL from the
// one rank that a card takes.
std::string why_no_transport(MeshKind kind);

}  // namespace samebits
