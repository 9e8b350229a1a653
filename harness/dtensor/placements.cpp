#include "harness/dtensor/placements.h"

#include <c10/util/Exception.h>

#include <algorithm>

namespace samebits {

Placements Placements::replicate(int64_t mesh_dims) {
  Placements placements;
  placements.each_.resize(static_cast<size_t>(mesh_dims), Placement::replicate());
  return placements;
}

Placements Placements::from_text(std::string_view text) {
  constexpr std::string_view kBetween = ", ";
  if (!text.starts_with('[') || !text.ends_with(']')) return Placement::from_text(text);
  Placements placements;
  text = text.substr(1, text.size() - 2);
  for (size_t end; (end = text.find(kBetween)) != std::string_view::npos;) {
    placements.each_.push_back(Placement::from_text(text.substr(0, end)));
    text.remove_prefix(end + kBetween.size());
  }
  placements.each_.push_back(Placement::from_text(text));
  return placements;
}

std::string Placements::text() const {
  if (dims() == 1) return each_[0].text();
  std::string text;
  for (const Placement& each : each_) text += (text.empty() ? "[" : ", ") + each.text();
  return text + "]";
}

bool Placements::is_replicate() const {
  return std::all_of(begin(), end(), [](const Placement& each) { return each.is_replicate(); });
}

bool Placements::has_partial() const {
  return std::any_of(begin(), end(), [](const Placement& each) { return each.is_partial(); });
}

Placements Placements::normalized(int64_t rank) const {
  Placements result = *this;
  for (Placement& each : result.each_) each = each.normalized(rank);
  return result;
}

const Placement& Placements::only() const {
  TORCH_CHECK(dims() == 1, "found placements ", text(), ", expected those of a mesh of one dimension");
  return each_[0];
}

std::ostream& operator<<(std::ostream& out, const Placements& placements) {
  return out << placements.text();
}

}  // namespace samebits
