#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/case/relation.h"
#include "harness/observe/arm_recording.h"

struct pcre2_real_code_8;

namespace samebits {

// Gives the sites of one program the names that another has for them.
class SiteMap {
 public:
  // Throws InputError for a rule that PCRE2 does not understand.
  explicit SiteMap(const std::vector<SiteRule>& rules);

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
  std::vector<Rule> rules_;
};

}  // namespace samebits
