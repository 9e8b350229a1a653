#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

// Of a recording that was read from a log (harness/logs/): how exactly the log holds its values.
// Such a recording proves nothing beyond that, and every verdict over it says so.
namespace samebits {

struct Precision {
  enum class Kind {
    kPrinted,  // decimal digits, which may have been rounded
    kWhole,    // integers
    kFloat32,  // its bits
    kFloat64,  // its bits: a value of the site has 16 digits or more
    kBits,     // of what is no number: a tensor of a dump, a token's text
  };
  Kind kind = Kind::kFloat64;
  // Of printed values: the most digits after the point, and the most significant digits, of any;
  // and whether all have the same number after the point, as a format string gives them.
  int decimals = 0;
  int digits = 0;
  bool is_uniform = false;

  // "to 4 decimals", "to at most 4 decimals and 6 digits", "as whole numbers", "to the bit of
  // float32", "to the bit".
  std::string text() const;

  bool operator==(const Precision&) const = default;
};

// What is left where one log holds a site as `a` and another as `b`.
Precision coarser(const Precision& a, const Precision& b);

struct LogSource {
  std::string file;
  std::string format;   // "csv"; two logs of one format are compared as they stand
  std::string pattern;  // of a log that was printed for people: what its lines matched
  std::string drops;    // what its writer leaves out, a sentence; "" for nothing
  std::map<std::string, Precision> precision;  // by site
  std::vector<std::string> unread;             // names of what is no number

  bool is_printed() const { return !pattern.empty(); }
  bool operator==(const LogSource&) const = default;
};

// ARM/log.json beside the stream that was made of a log; nullopt where there is none. InputError
// where it is broken.
std::optional<LogSource> read_log_source(const std::filesystem::path& arm_folder);
void write_log_source(const std::filesystem::path& arm_folder, const LogSource& source);

}  // namespace samebits
