// The one copy of fmt's functions that are no templates: compiled into every file that formats, as
// the header-only form does, they are half of its compile time. The headers are those beside
// LibTorch's own, of another version than the system's library.
#include <fmt/format-inl.h>

template auto fmt::detail::thousands_sep_impl<char>(locale_ref) -> thousands_sep_result<char>;
template auto fmt::detail::decimal_point_impl<char>(locale_ref) -> char;
