#pragma once

#include <c10/core/DispatchKey.h>

namespace samebits {

// Every out-of-core dispatch key that samebits claims, in one place.

// Modes (the tracer, the recorder): above everything else, autograd and DTensor included, so that a
// mode sees a whole operator before it is decomposed. Nothing in a C++ process uses this key; it is
// switched on by the thread-local include set only, never by a tensor.
constexpr c10::DispatchKey kModeDispatchKey = c10::DispatchKey::TESTING_ONLY_GenericMode;

// Watches (graph/operator_watch.h): just below the modes, so that what a mode runs is seen.
// Switched on as a mode's key is, but left on for the calls that a kernel makes.
constexpr c10::DispatchKey kWatchDispatchKey = c10::DispatchKey::TESTING_ONLY_GenericWrapper;

// DTensor: carried by every DTensor. Below autograd and ADInplaceOrView, so that their formulas run
// on DTensors unchanged; above every backend, which must never see one. In Python the key belongs
// to torchdistx's fake tensors; in a C++ process it is free.
constexpr c10::DispatchKey kDTensorDispatchKey = c10::DispatchKey::Fake;

static_assert(static_cast<int>(kModeDispatchKey) >
                  static_cast<int>(c10::DispatchKey::AutogradFunctionality),
              "modes must see an operator before autograd does");
static_assert(static_cast<int>(kWatchDispatchKey) < static_cast<int>(kModeDispatchKey) &&
                  static_cast<int>(kWatchDispatchKey) >
                      static_cast<int>(c10::DispatchKey::AutogradFunctionality),
              "a watch must see what modes run, and operators before autograd does");
static_assert(static_cast<int>(kDTensorDispatchKey) <
                  static_cast<int>(c10::DispatchKey::ADInplaceOrView),
              "autograd and version counting must come before DTensor");
static_assert(static_cast<int>(kDTensorDispatchKey) >
                  static_cast<int>(c10::DispatchKey::BackendSelect),
              "DTensor must see an operator before a backend is chosen");

}  // namespace samebits
