#pragma once

#include <string>

#include "repro/catalogue/catalogue.h"

namespace samebits {

// A program that calls one overload of weak_ref (repro/mechanisms/weak_ref.h) on its input, a plain
// tensor or a DTensor sharded over two ranks along the dimension that varies.
Subject weak_ref_subject(const std::string& overload, bool on_mesh, c10::Device device = c10::kCPU);

// torchtitan#2393: the registries of a custom operator do not agree.
Repro weak_ref_op_unregistered();

}  // namespace samebits
