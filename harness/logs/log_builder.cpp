#include "harness/logs/log_builder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/json.h"

namespace samebits {
namespace {

constexpr char kPhase[] = "log";
// A double that was written in full has 16 or 17 digits, but one in ten or so; of any site with
// more than a few values, one has.
constexpr int kDigitsOfDouble = 16;

}  // namespace

LogBuilder::LogBuilder(std::string file, const LogSettings& settings, std::string place_word)
    : file_(std::move(file)), settings_(settings), place_word_(std::move(place_word)) {
  if (!settings_.only.empty()) only_.emplace(settings_.only, "only");
}

std::string LogBuilder::where(size_t place) const {
  return file_ + ": " + place_word_ + " " + std::to_string(place);
}

size_t LogBuilder::site(std::string_view name, size_t place) {
  std::string key(name);
  if (const auto found = index_.find(key); found != index_.end()) return found->second;
  if (key.empty() || printable(key) != key) {
    throw InputError(where(place), "the name " + quoted(key), "a name that can be printed");
  }
  Site site;
  site.name = key;
  site.is_read = !only_ || only_->matches(key);
  sites_.push_back(std::move(site));
  index_.emplace(std::move(key), sites_.size() - 1);
  return sites_.size() - 1;
}

int64_t LogBuilder::step(const std::optional<LogNumber>& number, std::string_view shown,
                         size_t place) const {
  constexpr double kMost = 9007199254740992.0;  // 2^53
  const bool is_step = number && number->value >= 0 && number->value <= kMost &&
                       number->value == std::floor(number->value);
  if (!is_step) {
    throw InputError(where(place), "the step " + quoted(shown), "a whole number from 0");
  }
  return static_cast<int64_t>(number->value);
}

std::string LogBuilder::choose_step(const std::vector<std::string>& names, size_t place) const {
  const auto has = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  constexpr size_t kLongest = 200;
  std::string among;
  for (const std::string& name : names) among += (among.empty() ? "" : ", ") + name;
  if (!among.empty()) among = " among " + shortened(among, kLongest);
  if (!settings_.step.empty()) {
    if (has(settings_.step)) return settings_.step;
    throw InputError(where(place), "no " + quoted(settings_.step) + among,
                     "the step, as it was named");
  }
  for (const char* known : {"step", "global_step", "iteration"}) {
    if (has(known)) return known;
  }
  throw InputError(where(place), "no step" + among, "step, global_step, iteration or --step NAME");
}

void LogBuilder::refuse_number(size_t site, size_t place) const {
  if (!sites_[site].is_read) return;
  throw InputError(where(place) + ": " + sites_[site].name, "a number that no double holds",
                   "one between 1e-308 and 1e308, or an integer below 2^53");
}

void LogBuilder::refuse_mixture(const Site& site, size_t place) const {
  throw InputError(where(place) + ": " + site.name, "values of two kinds",
                   "numbers of one kind, or texts");
}

void LogBuilder::add_bits(int64_t step, Site& site, Dtype dtype, uint64_t bits, size_t place) {
  const bool is_other = site.dtype && *site.dtype != dtype;
  if (site.is_text || site.is_tensor || is_other) refuse_mixture(site, place);
  site.dtype = dtype;
  add_entry(step, site, bits, place);
}

bool LogBuilder::is_last(const Site& site, uint64_t bits) const {
  return site.is_tensor ? tensors_[bits].digest == tensors_[site.last_bits].digest
                        : bits == site.last_bits;
}

std::string LogBuilder::value_text(const Site& site, uint64_t bits) const {
  if (site.is_tensor) return "digest " + tensors_[bits].digest.hex().substr(0, 8);
  return *site.dtype == Dtype::float32
             ? shortest_text(std::bit_cast<float>(static_cast<uint32_t>(bits)))
             : shortest_text(std::bit_cast<double>(bits));
}

void LogBuilder::add_entry(int64_t step, Site& site, uint64_t bits, size_t place) {
  if (step <= site.last_step) {
    // Rows of training and of evaluation both have the epoch, say.
    if (step == site.last_step && is_last(site, bits)) return;
    throw InputError(where(place) + ": " + site.name,
                     value_text(site, bits) + " at step " + std::to_string(step) + " after " +
                         value_text(site, site.last_bits) + " at step " +
                         std::to_string(site.last_step) + " (" + place_word_ + " " +
                         std::to_string(site.last_place) + ")",
                     "one value a step, and steps that go on");
  }
  site.last_step = step;
  site.last_bits = bits;
  site.last_place = place;
  if (steps_.empty() || steps_.back() != step) steps_.push_back(step);
  entries_.push_back({bits, static_cast<uint32_t>(steps_.size() - 1),
                      static_cast<uint32_t>(&site - sites_.data())});
}

void LogBuilder::add(int64_t step, size_t index, const LogNumber& number, size_t place) {
  Site& site = sites_[index];
  if (!site.is_read) return;
  const bool is_first = !site.dtype;
  add_bits(step, site, Dtype::float64, std::bit_cast<uint64_t>(number.value), place);
  if (!std::isfinite(number.value)) return;
  Precision& precision = site.precision;
  site.fewest_decimals =
      is_first ? number.decimals : std::min(site.fewest_decimals, number.decimals);
  precision.decimals = std::max(precision.decimals, number.decimals);
  precision.digits = std::max(precision.digits, number.digits);
  site.has_exponent |= number.has_exponent;
  site.is_whole &= number.is_whole;
}

void LogBuilder::add_float32(int64_t step, size_t index, float value, size_t place) {
  Site& site = sites_[index];
  if (site.is_read) add_bits(step, site, Dtype::float32, std::bit_cast<uint32_t>(value), place);
}

void LogBuilder::add_tensor(int64_t step, size_t index, Dtype dtype,
                            const std::vector<int64_t>& shape, const void* data, size_t place) {
  Site& site = sites_[index];
  if (!site.is_read) return;
  const bool is_other = site.dtype && (!site.is_tensor || *site.dtype != dtype);
  if (site.is_text || is_other) refuse_mixture(site, place);
  site.dtype = dtype;
  site.is_tensor = true;
  tensors_.push_back(observe_tensor(step, kPhase, 0, site.name, dtype, shape, data));
  add_entry(step, site, tensors_.size() - 1, place);
}

void LogBuilder::add_text(size_t index, size_t place) {
  Site& site = sites_[index];
  if (!site.is_read) return;
  if (site.dtype) refuse_mixture(site, place);
  site.is_text = true;
}

void LogBuilder::add_printed(int64_t step, size_t site, std::string_view text, size_t place) {
  if (const auto number = number_from_text(text)) {
    add(step, site, *number, place);
  } else if (is_written_as_number(text)) {
    refuse_number(site, place);
  } else {
    add_text(site, place);
  }
}

Log LogBuilder::finish(const std::string& format) {
  if (entries_.empty()) {
    const bool has_sites = !sites_.empty() && only_;
    throw InputError(file_, has_sites ? "no site with numbers that only matches" : "no value",
                     "numbers by step");
  }
  Log log;
  log.source.file = file_;
  log.source.format = format;
  for (Site& site : sites_) {
    if (site.is_text) log.source.unread.push_back(site.name);
    if (!site.dtype) continue;
    Precision& precision = site.precision;
    precision.is_uniform = !site.has_exponent && site.fewest_decimals == precision.decimals;
    precision.kind = site.is_tensor                        ? Precision::Kind::kBits
                     : *site.dtype == Dtype::float32       ? Precision::Kind::kFloat32
                     : precision.digits >= kDigitsOfDouble ? Precision::Kind::kFloat64
                     : site.is_whole                       ? Precision::Kind::kWhole
                                                           : Precision::Kind::kPrinted;
    log.source.precision[site.name] = precision;
  }

  // The order of keys or columns is the writer's, and says nothing.
  std::vector<size_t> by_name(sites_.size());
  std::iota(by_name.begin(), by_name.end(), 0);
  std::sort(by_name.begin(), by_name.end(),
            [&](size_t a, size_t b) { return sites_[a].name < sites_[b].name; });
  std::vector<size_t> rank(sites_.size());
  for (size_t i = 0; i < by_name.size(); ++i) rank[by_name[i]] = i;
  std::sort(entries_.begin(), entries_.end(), [&](const Entry& a, const Entry& b) {
    return std::pair(steps_[a.row], rank[a.site]) < std::pair(steps_[b.row], rank[b.site]);
  });
  std::vector<Observation>& observations = log.stream.observations;
  observations.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    const Site& site = sites_[entry.site];
    observations.push_back(site.is_tensor ? std::move(tensors_[entry.bits])
                                          : observe_tensor(steps_[entry.row], kPhase, 0, site.name,
                                                           *site.dtype, {}, &entry.bits));
  }
  entries_ = {};
  return log;
}

}  // namespace samebits
