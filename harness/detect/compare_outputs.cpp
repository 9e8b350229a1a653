#include "harness/detect/compare_outputs.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <exception>

#include "harness/observe/tensor_observation.h"

namespace samebits {
namespace {

Digest digest_of(const at::Tensor& tensor) {
  return read_observations({begin_observation(0, "serve", 0, "output", tensor)}).front().digest;
}

}  // namespace

std::optional<std::string> error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    return text.substr(0, text.find('\n'));
  } catch (const std::exception& error) {
    return error.what();
  }
  return std::nullopt;
}

std::optional<std::string> difference(const std::vector<at::Tensor>& got,
                                      const std::vector<at::Tensor>& expected,
                                      const std::string& than) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (got[i].sizes() != expected[i].sizes()) {
      return fmt::format("output {} has sizes [{}], {} gives [{}]", i,
                         fmt::join(got[i].sizes(), ", "), than,
                         fmt::join(expected[i].sizes(), ", "));
    }
    if (digest_of(got[i]) != digest_of(expected[i])) {
      return fmt::format("output {} has other bits than {}'s", i, than);
    }
  }
  return std::nullopt;
}

bool same_kinds(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.sizes() == y.sizes() && x.scalar_type() == y.scalar_type();
  });
}

}  // namespace samebits
