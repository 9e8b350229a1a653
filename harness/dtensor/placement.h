#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

namespace samebits {

// How a tensor lies over the ranks of one dimension of a mesh. Source of the semantics and of the
// names: torch/distributed/tensor/placement_types.py.
//   Shard(dim)  rank r holds the r-th chunk along `dim` (mesh/shard.h: uneven, maybe empty)
//   Replicate   every rank holds the whole
//   Partial     every rank holds a summand of the whole's shape; the value is their sum, in the
//               order and dtype of mesh/communicator.h
class Placement {
 public:
  enum class Kind : uint8_t { kShard, kReplicate, kPartial };

  static Placement shard(int64_t dim) { return {Kind::kShard, dim}; }
  static Placement replicate() { return {Kind::kReplicate, 0}; }
  static Placement partial() { return {Kind::kPartial, 0}; }

  // From "S(1)", "R" or "P(sum)". Anything else throws c10::Error.
  static Placement from_text(std::string_view text);
  std::string text() const;

  bool is_shard() const { return kind_ == Kind::kShard; }
  bool is_shard(int64_t dim) const { return is_shard() && dim_ == dim; }
  bool is_replicate() const { return kind_ == Kind::kReplicate; }
  bool is_partial() const { return kind_ == Kind::kPartial; }
  Kind kind() const { return kind_; }

  // The sharded dimension, of a Shard only. Never negative on a tensor; see normalized().
  int64_t dim() const;

  // The same placement with its dimension counted from the front, for a tensor of `rank`
  // dimensions; throws c10::Error if there is no such dimension.
  Placement normalized(int64_t rank) const;

  friend bool operator==(const Placement&, const Placement&) = default;

 private:
  Placement(Kind kind, int64_t dim) : kind_(kind), dim_(dim) {}

  Kind kind_;
  int64_t dim_;  // 0 where there is none
};

std::ostream& operator<<(std::ostream& out, const Placement& placement);

}  // namespace samebits
