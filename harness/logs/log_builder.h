#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "harness/base/pattern.h"
#include "harness/case/program_settings.h"
#include "harness/logs/number.h"
#include "harness/observe/log_source.h"
#include "harness/observe/stream.h"

namespace samebits {

// What became of a log.
struct Log {
  StreamContents stream;  // by step, in a step by the names of the sites; phase "log", rank 0
  LogSource source;
};

// Takes a log's values from its reader, one by one, and refuses what no log may have: a second
// value of a site in a step, a step after a later one, a site that is a number here and a text
// there. `place` says where in the file: a line, a byte, or an entry, as `place_word` has it.
class LogBuilder {
 public:
  LogBuilder(std::string file, const LogSettings& settings, std::string place_word = "line");

  // The index of a site, made where it is new. InputError where the name is empty or not printable.
  size_t site(std::string_view name, size_t place);

  void add(int64_t step, size_t site, const LogNumber& number, size_t place);
  void add_float32(int64_t step, size_t site, float value, size_t place);
  // Of any shape, row-major; what is compared of it are its bits.
  void add_tensor(int64_t step, size_t site, Dtype dtype, const std::vector<int64_t>& shape,
                  const void* data, size_t place);
  // What stands at a site in a file of texts: a number, or something else, which is not compared.
  // InputError for a number that a double cannot hold.
  void add_printed(int64_t step, size_t site, std::string_view text, size_t place);
  // Something that is no number, and is not compared.
  void add_text(size_t site, size_t place);
  // A number that a double cannot hold: InputError, where the site is read.
  void refuse_number(size_t site, size_t place) const;

  // Which of the names counts the steps: the one that the settings name, or step, global_step or
  // iteration. InputError where none does.
  std::string choose_step(const std::vector<std::string>& names, size_t place) const;
  // InputError where `number` is no step.
  int64_t step(const std::optional<LogNumber>& number, std::string_view shown, size_t place) const;

  // "metrics.csv: line 3"
  std::string where(size_t place) const;
  const LogSettings& settings() const { return settings_; }

  // InputError where nothing was read.
  Log finish(const std::string& format);

 private:
  struct Site {
    std::string name;
    bool is_read = true;
    bool is_text = false;
    bool is_tensor = false;
    std::optional<Dtype> dtype;
    int64_t last_step = -1;
    uint64_t last_bits = 0;  // of a tensor, its index, as in an entry
    size_t last_place = 0;
    Precision precision;
    int fewest_decimals = 0;
    bool has_exponent = false;
    bool is_whole = true;
  };
  // Of a million values these are most of the memory.
  struct Entry {
    uint64_t bits;
    uint32_t row;  // of steps_
    uint32_t site;
  };
  void add_bits(int64_t step, Site& site, Dtype dtype, uint64_t bits, size_t place);
  void add_entry(int64_t step, Site& site, uint64_t bits, size_t place);
  bool is_last(const Site& site, uint64_t bits) const;
  std::string value_text(const Site& site, uint64_t bits) const;
  [[noreturn]] void refuse_mixture(const Site& site, size_t place) const;

  std::string file_;
  LogSettings settings_;
  std::string place_word_;
  std::optional<Pattern> only_;
  std::vector<Site> sites_;
  std::unordered_map<std::string, size_t> index_;
  std::vector<int64_t> steps_;  // each that is not the one of the entry before
  std::vector<Entry> entries_;
  std::vector<Observation> tensors_;
};

}  // namespace samebits
