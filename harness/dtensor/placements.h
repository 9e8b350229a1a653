#pragma once

#include <c10/util/SmallVector.h>

#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <string>
#include <string_view>

#include "harness/dtensor/placement.h"

namespace samebits {

// How a tensor lies over a mesh: one placement for each of the mesh's dimensions. Where several of
// them shard one dimension of the tensor, the first cuts the whole, the next the chunks of that,
// and so on. A value that is pending over several is the sum over all of their ranks, of the last
// dimension first. Source of the semantics: torch/distributed/tensor/placement_types.py.
class Placements {
 public:
  // Over a mesh of one dimension.
  Placements(Placement only) : each_{only} {}  // NOLINT(google-explicit-constructor)
  Placements(std::initializer_list<Placement> each) : each_(each) {}

  // Replicate over a mesh of so many dimensions.
  static Placements replicate(int64_t mesh_dims);

  // From "S(1)", or, of several dimensions, "[S(1), R]". Anything else throws c10::Error.
  static Placements from_text(std::string_view text);
  std::string text() const;

  // One more dimension of the mesh.
  void append(Placement placement) { each_.push_back(placement); }

  int64_t dims() const { return static_cast<int64_t>(each_.size()); }
  const Placement& operator[](int64_t mesh_dim) const {
    return each_[static_cast<size_t>(mesh_dim)];
  }
  Placement& operator[](int64_t mesh_dim) { return each_[static_cast<size_t>(mesh_dim)]; }
  auto begin() const { return each_.begin(); }
  auto end() const { return each_.end(); }

  bool is_replicate() const;  // everywhere
  bool has_partial() const;   // anywhere

  // Placement::normalized() of each.
  Placements normalized(int64_t rank) const;

  friend bool operator==(const Placements&, const Placements&) = default;

  // Of a mesh of one dimension, the only one there is; throws c10::Error on another mesh.
  const Placement& only() const;

 private:
  Placements() = default;

  c10::SmallVector<Placement, 2> each_;
};

std::ostream& operator<<(std::ostream& out, const Placements& placements);

}  // namespace samebits
