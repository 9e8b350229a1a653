#include "harness/compare/site_map.h"

#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/pcre2.h"
#include "harness/base/text.h"
#include "harness/bits/digest.h"

namespace samebits {
namespace {

PCRE2_SPTR units_of(const std::string& text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

[[noreturn]] void refuse(const SiteRule& rule, const std::string& found, const std::string& why) {
  throw InputError("map: " + quoted(rule.from), found + " (" + why + ")",
                   "a regular expression of PCRE2, and a text with its groups as $1");
}

std::shared_ptr<pcre2_code> compiled(const SiteRule& rule, const std::string& pattern) {
  try {
    return compile_pcre2(pattern, PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C);
  } catch (const Pcre2Refusal& refusal) {
    refuse(rule, "byte " + std::to_string(refusal.offset), refusal.what());
  }
}

std::string replaced(const SiteRule& rule, const pcre2_code* code, const std::string& name) {
  std::string text(2 * (name.size() + rule.to.size()) + 64, '\0');
  for (;;) {
    PCRE2_SIZE size = text.size();
    const int found = pcre2_substitute(
        code, units_of(name), name.size(), 0,
        PCRE2_SUBSTITUTE_OVERFLOW_LENGTH | PCRE2_SUBSTITUTE_UNSET_EMPTY, nullptr, nullptr,
        units_of(rule.to), rule.to.size(), reinterpret_cast<PCRE2_UCHAR*>(text.data()), &size);
    if (found == PCRE2_ERROR_NOMEMORY && size > text.size()) {
      text.resize(size);
      continue;
    }
    if (found < 0) refuse(rule, quoted(rule.to), pcre2_message(found));
    text.resize(size);
    return text;
  }
}

// What is to stand there is looked at where something was found, and so with what is in nothing.
void check_replacement(const SiteRule& rule) {
  compiled(rule, rule.from);
  replaced(rule, compiled(rule, "(?:" + rule.from + ")|").get(), "");
}

void flatten(Observation& seen) {
  int64_t count = 1;
  for (const int64_t size : seen.shape) {
    if (__builtin_mul_overflow(count, size, &count)) {
      throw InputError("map: " + quoted(seen.site), "more than 2^63 elements", "a tensor");
    }
  }
  const std::vector<int64_t> flat = {count};
  seen.digest = reshaped_digest(seen.digest, seen.dtype, seen.shape, flat);
  seen.shape = flat;
}

}  // namespace

SiteMap::SiteMap(const SiteRules& rules) {
  for (const SiteLayout& layout : rules.layouts) {
    for (const std::string& to : layout.to) check_replacement({layout.from, to});
    layouts_.push_back({compiled({layout.from, ""}, layout.from), layout.kind});
    if (!layout.by.empty()) compiled({layout.by, ""}, layout.by);
  }
  for (const SiteRule& rule : rules.names) {
    check_replacement(rule);
    rules_.push_back({compiled(rule, rule.from), rule});
  }
}

const SiteMap::Layout* SiteMap::layout_of(const std::string& site) const {
  for (const Layout& each : layouts_) {
    // Whose site keeps its name, and may be one whose rows are of no sequence.
    if (each.kind == SiteLayout::Kind::kPadded || each.kind == SiteLayout::Kind::kPacked) continue;
    const auto data = make_match_data(*each.code);
    if (match_pcre2(*each.code, site, 0, 0, *data) >= 0) return &each;
  }
  return nullptr;
}

ArmRecording SiteMap::laid_out(ArmRecording recording) const {
  if (layouts_.empty()) return recording;
  std::unordered_map<std::string, const Layout*> known;  // looked up, never iterated
  for (StreamContents& rank : recording.ranks) {
    for (Observation& each : rank.observations) {
      const auto [at, is_new] = known.try_emplace(each.site);
      if (is_new) at->second = layout_of(each.site);
      if (at->second == nullptr) continue;
      if (at->second->kind != SiteLayout::Kind::kFlat) {
        throw InputError("map",
                         quoted(each.site) + " in a recording of " + recording.arm + ", layout " +
                             to_string(at->second->kind),
                         "a recording that was made with this map: samebits_record --map");
      }
      if (!each.shape.empty()) flatten(each);
    }
  }
  return recording;
}

std::string SiteMap::renamed(const std::string& site) const {
  std::string name = site;
  for (const Rule& each : rules_) name = replaced(each.rule, each.code.get(), name);
  return name;
}

ArmRecording SiteMap::renamed(ArmRecording recording) const {
  std::unordered_map<std::string, std::string> names;  // looked up, never iterated
  for (StreamContents& rank : recording.ranks) {
    std::map<std::tuple<int64_t, std::string, std::string>, std::string> seen;  // by the new name
    for (Observation& each : rank.observations) {
      auto [at, is_new] = names.try_emplace(each.site);
      if (is_new) at->second = renamed(each.site);
      const auto [known, is_first] =
          seen.try_emplace({each.step, each.phase, at->second}, each.site);
      if (!is_first && known->second != each.site) {
        throw InputError("map",
                         quoted(known->second) + " and " + quoted(each.site) + " as " +
                             quoted(at->second) + " in step " + std::to_string(each.step),
                         "another name for each site");
      }
      each.site = at->second;
    }
  }
  if (recording.log) {
    std::map<std::string, Precision> precision;
    for (const auto& [site, each] : recording.log->precision) precision[renamed(site)] = each;
    recording.log->precision = std::move(precision);
  }
  return recording;
}

std::string SiteMap::own_name(const ArmRecording& recording, const Observation& seen) const {
  for (const Observation& each : recording.ranks[static_cast<size_t>(seen.rank)].observations) {
    if (each.step == seen.step && each.phase == seen.phase && renamed(each.site) == seen.site) {
      return each.site;
    }
  }
  return seen.site;
}

}  // namespace samebits
