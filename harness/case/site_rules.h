#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "harness/base/json.h"
#include "harness/base/names.h"

// A map between two programs: what each calls a site, and how its tensors are to be observed so that
// they are those of the other. docs/case.md has its form.
namespace samebits {

// What one program calls a site, and what another does: a regular expression of PCRE2 that is found
// in its name, and what stands there instead ($1 is its first group).
struct SiteRule {
  std::string from;
  std::string to;
};

// How a tensor is observed. A recorder does it, which has the elements; of the tensors themselves a
// digest tells kFlat alone, which is therefore left to the comparison.
struct SiteLayout {
  enum class Kind {
    kSplit,       // parts along a dimension, each a site
    kCopies,      // the whole, under several names
    kTranspose,   // with its last two dimensions exchanged
    kFlat,        // with one dimension, whatever its shape
    kPadded,      // rows of [B, T, ...]: each sequence a site, without its padding
    kPacked,      // rows of [1, T, ...] or [T, ...]: likewise
    kUnobserved,  // not at all
  };
  using Size = std::variant<int64_t, std::string>;  // a number, or a key of the model's config

  std::string from;  // as of a SiteRule, found in the program's own names
  Kind kind = Kind::kSplit;
  std::vector<std::string> to = {};  // kSplit, kCopies: of each; kTranspose: one
  int64_t dim = 0;                   // kSplit; below 0 from the last one on
  std::vector<Size> shares = {};     // kSplit: how the parts share the dimension
  Size groups = int64_t{1};  // kSplit: into which it falls first, each of which has all parts
  std::string by = {};       // kPadded, kPacked: the site that says where sequences are
};

const Names<SiteLayout::Kind>& names_of(SiteLayout::Kind);

struct SiteRules {
  std::vector<SiteLayout> layouts;  // in order, of both programs
  std::vector<SiteRule> names;      // then, of the second one's sites: the first one's names

  bool empty() const { return layouts.empty() && names.empty(); }
};

// A list of rules for names, or an object with `layouts` and `sites`. Throws InputError, as
// JsonReader does.
SiteRules read_site_rules(const JsonReader& json);
SiteRules load_site_rules(const std::filesystem::path& file);

Json json_from_site_rules(const SiteRules& rules);
Json site_rules_schema();

}  // namespace samebits
