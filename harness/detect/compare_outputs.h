#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace samebits {

// The first line of what `f` throws; nothing where it returns.
std::optional<std::string> error_of(const std::function<void()>& f);

// In what a program's outputs are not the expected ones: sizes, or bits. Nothing: in nothing.
// `than`: whose the expected ones are, "eager".
std::optional<std::string> difference(const std::vector<at::Tensor>& got,
                                      const std::vector<at::Tensor>& expected,
                                      const std::string& than = "eager");

// Whether the tensors have, each, the same sizes and dtype.
bool same_kinds(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b);

}  // namespace samebits
