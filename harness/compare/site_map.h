#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/case/site_rules.h"
#include "harness/observe/arm_recording.h"

struct pcre2_real_code_8;

namespace samebits {

// Gives the sites of one program the names that another has for them, and the tensors of both one
// layout.
class SiteMap {
 public:
  // Throws InputError for a rule that PCRE2 does not understand.
  explicit SiteMap(const SiteRules& rules);

  // A recording of either program, under its own names, with the layouts that its digests tell: one
  // dimension where a rule says flat, scalars excepted. Throws InputError for a site that a recorder
  // should have split, transposed or left out: its digest does not tell what that would give.
  ArmRecording laid_out(ArmRecording recording) const;

  // One site: each rule, in order, replaces what it first finds.
  std::string renamed(const std::string& site) const;

  // A recording under its new names. Throws InputError where two sites that are seen in one step and
  // phase get one name: which of them is compared would be chance.
  ArmRecording renamed(ArmRecording recording) const;

  // The name that a recording has for a site, of which `seen` is an observation under its new name.
  std::string own_name(const ArmRecording& recording, const Observation& seen) const;

 private:
  struct Rule {
    std::shared_ptr<pcre2_real_code_8> code;
    SiteRule rule;
  };
  struct Layout {
    std::shared_ptr<pcre2_real_code_8> code;
    SiteLayout::Kind kind;
  };
  // Of the layouts that change the digest of a site or forbid it, the first that is found in it.
  const Layout* layout_of(const std::string& site) const;

  std::vector<Layout> layouts_;
  std::vector<Rule> rules_;
};

}  // namespace samebits
