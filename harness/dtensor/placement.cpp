#include "harness/dtensor/placement.h"

#include <c10/util/Exception.h>

#include <charconv>
#include <system_error>

namespace samebits {

Placement Placement::from_text(std::string_view text) {
  if (text == "R") return replicate();
  if (text == "P(sum)") return partial();
  if (text.size() > 3 && text.substr(0, 2) == "S(" && text.back() == ')') {
    const char* end = text.data() + text.size() - 1;
    int64_t dim = 0;
    const auto [stop, error] = std::from_chars(text.data() + 2, end, dim);
    if (error == std::errc() && stop == end) return shard(dim);
  }
  TORCH_CHECK(false, "placement: found '", text, "', expected S(dimension), R or P(sum)");
}

std::string Placement::text() const {
  switch (kind_) {
    case Kind::kShard:
      return "S(" + std::to_string(dim_) + ")";
    case Kind::kReplicate:
      return "R";
    case Kind::kPartial:
      return "P(sum)";
  }
  TORCH_INTERNAL_ASSERT(false, "unknown placement");
}

int64_t Placement::dim() const {
  TORCH_INTERNAL_ASSERT(is_shard(), text(), " has no dimension");
  return dim_;
}

Placement Placement::normalized(int64_t rank) const {
  if (!is_shard()) return *this;
  TORCH_CHECK(dim_ >= -rank && dim_ < rank, "placement ", text(), ": the tensor has ", rank,
              " dimensions");
  return shard(dim_ < 0 ? dim_ + rank : dim_);
}

std::ostream& operator<<(std::ostream& out, const Placement& placement) {
  return out << placement.text();
}

}  // namespace samebits
