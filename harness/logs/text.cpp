#include <algorithm>

#include "harness/base/error.h"
#include "harness/logs/log_text.h"
#include "harness/logs/readers.h"

namespace samebits {
namespace {

// A line that a program prints for people.
struct PrintedLine {
  const char* format;
  const char* line;   // the group `step`, and one a site
  const char* pairs;  // "", or the groups `name` and `value`: all that the line has besides
  const char* drops;  // what it never prints
};

constexpr PrintedLine kTorchtitan = {
    "torchtitan",
    R"(step:\s*(?<step>\d+)\s+loss:\s*(?<loss>\S+)(?:\s+grad_norm:\s*(?<grad_norm>\S+))?)", "", ""};
// Its tests' losses: "1 7.604050636291504", and what a test prints of them.
constexpr PrintedLine kTorchtitanGolden = {
    "torchtitan_golden",
    R"(^(?<step>\d+)\s+(?<loss>[-+0-9.eE]+|nan|inf|-inf)(?:\s+(?<grad_norm>\S+))?$)", "", ""};
constexpr PrintedLine kMegatron = {"megatron", R"(iteration\s+(?<step>\d+)/\s*\d+ \|)",
                                   R"(\| (?<name>[^:|]+?):\s*(?<value>[^|]+?)\s*(?=\|))",
                                   "Megatron's console prints no negative loss"};
constexpr PrintedLine kVerl = {"verl", R"(step:(?<step>\d+) - )",
                               R"( - (?<name>[^\s:]+):(?<value>\S+))", ""};

// verl prints the repr of a metric, and that of NumPy's scalars is np.float64(0.5) from 2.0 on
// (NEP 51).
std::string_view without_dtype(std::string_view value) {
  const size_t open = value.find('(');
  if (!value.starts_with("np.") || open == value.npos || !value.ends_with(')')) return value;
  return value.substr(open + 1, value.size() - open - 2);
}

// Without the sequences that colour a terminal.
std::string without_colours(std::string_view line) {
  std::string plain;
  for (size_t at = 0; at < line.size(); ++at) {
    if (!line.substr(at).starts_with("\x1b[")) {
      plain += line[at];
      continue;
    }
    at = std::min(line.find_first_not_of("0123456789;", at + 2), line.size());
  }
  return plain;
}

size_t group_of(const Pattern& pattern, const char* name, const std::string& where) {
  const auto found = std::find(pattern.names().begin(), pattern.names().end(), name);
  if (found == pattern.names().end()) {
    throw InputError(where, "no group (?<" + std::string(name) + ">...)", "one");
  }
  return static_cast<size_t>(found - pattern.names().begin());
}

class PrintedLines {
 public:
  // Both are borrowed.
  PrintedLines(const LogInput& input, const PrintedLine& printed)
      : input_(input),
        printed_(printed),
        log_(input.file, input.settings),
        line_(printed.line, "pattern"),
        step_(group_of(line_, "step", "pattern")) {
    if (*printed.pairs != '\0') {
      pairs_.emplace(printed.pairs, "pattern");
    } else if (line_.names().size() == 1) {
      throw InputError("pattern", "no group but step", "one a site, (?<loss>...)");
    }
  }

  Log read() {
    check_encoding(input_.bytes, input_.file);
    LineCursor lines(input_.bytes);
    for (std::string_view line; lines.next(line);) {
      const std::string plain = without_colours(line);
      if (!line_.first_match(plain, groups_)) continue;
      if (!lines.has_end()) {
        throw InputError(log_.where(lines.number()), "no end of the line", "a newline (cut off?)");
      }
      read_line(plain, lines.number());
    }
    Log log = log_.finish(printed_.format);
    log.source.pattern = std::string(printed_.line) + printed_.pairs;
    log.source.drops = printed_.drops;
    return log;
  }

 private:
  void add(int64_t step, std::string_view name, std::string_view value, size_t place) {
    const auto number = number_from_text(value);
    if (!number) {
      throw InputError(log_.where(place) + ": " + printable(name), quoted(value),
                       "a number that a double can hold");
    }
    log_.add(step, log_.site(name, place), *number, place);
  }

  void read_line(std::string_view line, size_t place) {
    const int64_t step = log_.step(number_from_text(groups_[step_]), groups_[step_], place);
    for (size_t i = 0; i < groups_.size(); ++i) {
      const bool is_there = i != step_ && groups_[i].data() != nullptr;
      if (is_there) add(step, line_.names()[i], groups_[i], place);
    }
    if (!pairs_) return;
    const size_t name = group_of(*pairs_, "name", "pattern");
    const size_t value = group_of(*pairs_, "value", "pattern");
    pairs_->all_matches(line, [&](const Pattern::Groups& groups) {
      const size_t site = log_.site(groups[name], place);
      log_.add_printed(step, site, without_dtype(groups[value]), place);
    });
  }

  const LogInput& input_;
  const PrintedLine& printed_;
  LogBuilder log_;
  Pattern line_;
  std::optional<Pattern> pairs_;
  Pattern::Groups groups_;
  size_t step_;
};

Log read_printed(const LogInput& input, const PrintedLine& printed) {
  return PrintedLines(input, printed).read();
}

}  // namespace

Log read_text(const LogInput& input) {
  if (input.settings.pattern.empty()) {
    throw InputError(input.file, "a text and no pattern", "a pattern of its lines");
  }
  return read_printed(input, {"text", input.settings.pattern.c_str(), "", ""});
}

Log read_torchtitan(const LogInput& input) { return read_printed(input, kTorchtitan); }
Log read_torchtitan_golden(const LogInput& input) { return read_printed(input, kTorchtitanGolden); }
Log read_megatron(const LogInput& input) { return read_printed(input, kMegatron); }
Log read_verl(const LogInput& input) { return read_printed(input, kVerl); }

}  // namespace samebits
