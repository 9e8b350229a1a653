#pragma once

#include <string>
#include <vector>

namespace samebits {

// How fast an arm's steps are, from the second on: the first also traces and captures.
struct Pace {
  int steps = 0;
  double mean = 0;  // seconds of a step
  double deviation = 0;
};
Pace pace_of(const std::vector<double>& step_seconds);

// Another arm's steps to the first one's.
struct PaceChange {
  double factor = 0;  // of the means
  double low = 0;     // 95 % interval of it
  double high = 0;
  bool is_known = false;  // two steps or more of each

  bool is_significant() const { return is_known && (low > 1 || high < 1); }
  // "no significant change", "1.25 times as long", "0.80 times as long"; "" where it is not known.
  std::string text() const;
};

// The interval takes the two means for independent, with Student's t of the smaller number of
// steps; steps of one process are alike, so it is no interval for another machine or day.
PaceChange change_of(const Pace& first, const Pace& other);

// The same of seconds that were taken in pairs, one pair a round, in which both arms ran side by
// side: the interval is that of the rounds' factors. Known from three rounds on.
PaceChange change_of_pairs(const std::vector<double>& first, const std::vector<double>& other);

}  // namespace samebits
