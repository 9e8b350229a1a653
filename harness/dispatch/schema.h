#pragma once

#include <ATen/core/function_schema.h>

#include <cstddef>
#include <optional>

// What an operator's schema says of memory.
namespace samebits {

// An argument that the operator writes, or a return that is one.
inline bool is_written(const c10::Argument& argument) {
  return argument.alias_info() && argument.alias_info()->isWrite();
}

// The argument that a return is, where the operator writes it and gives it back.
inline std::optional<size_t> written_argument(const c10::FunctionSchema& schema, size_t result) {
  const c10::Argument& given = schema.returns()[result];
  if (!is_written(given)) return std::nullopt;
  for (size_t i = 0; i < schema.arguments().size(); ++i) {
    const c10::Argument& argument = schema.arguments()[i];
    if (is_written(argument) &&
        argument.alias_info()->beforeSets() == given.alias_info()->beforeSets()) {
      return i;
    }
  }
  return std::nullopt;
}

// Whether results may be views of the first argument, which is not written.
inline bool is_view(const c10::FunctionSchema& schema) {
  return !schema.arguments().empty() && schema.arguments()[0].alias_info() &&
         !is_written(schema.arguments()[0]);
}

// The operator writes its first argument.
inline bool writes_first(const c10::FunctionSchema& schema) {
  return !schema.arguments().empty() && is_written(schema.arguments()[0]);
}

}  // namespace samebits
