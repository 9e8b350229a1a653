#pragma once

#include <ATen/core/ivalue.h>

#include <map>
#include <string>
#include <vector>

#include "harness/kernels/shape_rule.h"

namespace samebits {

// What propagation gave for the calls of an operator, so that it is asked once for equal calls. It
// is found by what the arguments look like: dtype and sizes of tensors, the text of all else. A
// call whose tensors have symbolic sizes is not kept.
class SpecCache {
 public:
  enum class Symbols {
    kByName,  // another argument that is symbolic is found by its text, "s"
    kNotKept  // as symbolic tensors
  };
  explicit SpecCache(Symbols symbols) : symbols_(symbols) {}

  std::vector<TensorMeta> find_or_infer(const std::string& op, c10::ArrayRef<c10::IValue> args);

  size_t size() const { return kept_.size(); }

 private:
  bool is_kept(c10::ArrayRef<c10::IValue> args) const;

  Symbols symbols_;
  std::map<std::string, std::vector<TensorMeta>> kept_;
};

// Lends a cache to the operator samebits_repro::expand on this thread, for the guard's lifetime.
class SpecCacheGuard {
 public:
  explicit SpecCacheGuard(SpecCache& cache);
  ~SpecCacheGuard();
  SpecCacheGuard(const SpecCacheGuard&) = delete;
  SpecCacheGuard& operator=(const SpecCacheGuard&) = delete;

  static SpecCache* current();  // null: none
};

}  // namespace samebits
