#include "repro/dtensor_cache_stale_symint/spec_cache.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <sstream>

namespace samebits {
namespace {

thread_local SpecCache* lent = nullptr;

bool is_symbolic(c10::SymIntArrayRef sizes) {
  return std::any_of(sizes.begin(), sizes.end(),
                     [](const c10::SymInt& size) { return size.is_symbolic(); });
}

std::string key_of(const std::string& op, c10::ArrayRef<c10::IValue> args) {
  std::ostringstream key;
  key << op;
  for (const c10::IValue& arg : args) {
    key << ", ";
    if (arg.isTensor()) {
      key << arg.toTensor().scalar_type() << ' ' << arg.toTensor().sym_sizes();
    } else {
      key << arg;
    }
  }
  return key.str();
}

}  // namespace

bool SpecCache::is_kept(c10::ArrayRef<c10::IValue> args) const {
  return std::none_of(args.begin(), args.end(), [this](const c10::IValue& arg) {
    if (arg.isTensor()) return is_symbolic(arg.toTensor().sym_sizes());
    return symbols_ == Symbols::kNotKept && (arg.isSymInt() || arg.isSymIntList());
  });
}

std::vector<TensorMeta> SpecCache::find_or_infer(const std::string& op,
                                                 c10::ArrayRef<c10::IValue> args) {
  if (!is_kept(args)) return infer_shapes(op, args);
  const std::string key = key_of(op, args);
  const auto found = kept_.find(key);
  if (found != kept_.end()) return found->second;
  return kept_.emplace(key, infer_shapes(op, args)).first->second;
}

SpecCacheGuard::SpecCacheGuard(SpecCache& cache) { lent = &cache; }
SpecCacheGuard::~SpecCacheGuard() { lent = nullptr; }
SpecCache* SpecCacheGuard::current() { return lent; }

}  // namespace samebits
