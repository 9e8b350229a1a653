#include "harness/workload/rewards.h"

#include <utf8proc.h>

#include <array>
#include <cmath>
#include <string>

#include "harness/kernels/cpu/math.h"

namespace samebits {
namespace {

// Characters with the Uppercase property that are not of category Lu: Unicode's Other_Uppercase
// (PropList.txt), Roman numerals and enclosed letters.
bool is_other_uppercase(utf8proc_int32_t c) {
  constexpr std::array<std::array<utf8proc_int32_t, 2>, 5> kRanges = {{{0x2160, 0x216F},
                                                                       {0x24B6, 0x24CF},
                                                                       {0x1F130, 0x1F149},
                                                                       {0x1F150, 0x1F169},
                                                                       {0x1F170, 0x1F189}}};
  for (const auto& [first, last] : kRanges) {
    if (c >= first && c <= last) return true;
  }
  return false;
}

bool is_upper(utf8proc_int32_t c) {
  return utf8proc_category(c) == UTF8PROC_CATEGORY_LU || is_other_uppercase(c);
}

void append_utf8(std::string& out, utf8proc_int32_t c) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const utf8proc_ssize_t count = utf8proc_encode_char(c, bytes.data());
  out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(count));
}

}  // namespace

double reward_of(std::string_view completion, std::string_view answer) {
  if (completion.empty()) return 0.0;
  int64_t characters = 0, outside_ascii = 0, upper = 0;
  std::string lowered;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(completion.data());
  for (size_t at = 0; at < completion.size();) {
    utf8proc_int32_t c = 0;
    utf8proc_ssize_t used =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(completion.size() - at), &c);
    if (used < 1) {  // a decoded completion has none, but a caller's string may
      c = 0xFFFD;
      used = 1;
    }
    at += static_cast<size_t>(used);
    ++characters;
    outside_ascii += c > 0x7F;
    upper += is_upper(c);
    append_utf8(lowered, utf8proc_tolower(c));
  }
  double reward = 1.0;
  const double count = static_cast<double>(characters);
  if (static_cast<double>(outside_ascii) / count > 0.1) reward *= 0.1;
  reward *= 1.0 - 0.9 * (static_cast<double>(upper) / count);
  reward *= lowered.find(answer) != std::string::npos ? 2.0 : 0.5;
  return reward;
}

std::vector<float> advantages_of(const std::vector<float>& rewards,
                                 const AdvantageSettings& settings) {
  const bool weighted = settings.baseline == Baseline::kMeanExp;
  std::vector<float> values;
  float sum = 0.0f;
  for (const float reward : rewards) {
    const float temperature = static_cast<float>(settings.temperature);
    values.push_back(weighted ? exp_f32(reward / temperature) : reward);
    sum += values.back();
  }
  const float mean = sum / static_cast<float>(rewards.size());
  for (float& value : values) value = weighted ? value / mean - 1.0f : value - mean;
  return values;
}

std::vector<float> normalized(const std::vector<float>& rewards) {
  const auto count = static_cast<float>(rewards.size());
  float sum = 0.0f;
  for (const float reward : rewards) sum += reward;
  const float mean = sum / count;
  std::vector<float> values;
  float squares = 0.0f;
  for (const float reward : rewards) {
    values.push_back(reward - mean);
    squares += values.back() * values.back();
  }
  const float deviation = rewards.size() > 1 ? std::sqrt(squares / (count - 1.0f)) : 0.0f;
  if (deviation > 1e-8f) {
    for (float& value : values) value /= deviation;
  }
  return values;
}

std::vector<float> advantages_of_step(const std::vector<float>& rewards, int64_t group,
                                      const AdvantageSettings& settings) {
  const std::vector<float> all =
      settings.normalize == Normalize::kBatch ? normalized(rewards) : rewards;
  std::vector<float> advantages;
  for (auto begin = all.begin(); begin != all.end(); begin += group) {
    std::vector<float> of_group(begin, begin + group);
    if (settings.normalize == Normalize::kGroup) of_group = normalized(of_group);
    const std::vector<float> values = advantages_of(of_group, settings);
    advantages.insert(advantages.end(), values.begin(), values.end());
  }
  return advantages;
}

}  // namespace samebits
