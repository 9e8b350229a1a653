#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/compare/verdict.h"

namespace samebits {

// How a difference between two arms spreads: a row for each site, or for several, in program order
// from top to bottom (where they are many, those of a layer are one, but for the operators of the
// layer in which it is born); a column for each call, or for several, in program order from left to right.
// A call is the how-many-th time in a phase of a step that a site is seen: of a rollout a chunk of
// the prompt or a token, of training a micro-batch. The size does not grow with the run's.
struct OperatorSpread {
  enum class Cell { kEmpty, kEqual, kSomeDiffer, kAllDiffer, kOnlyOne };
  struct Row {
    std::string name;  // "layers.3.attention.wo", "layers.3", "logprob"
    int64_t compared = 0;
    int64_t different = 0;
    int64_t only_one = 0;  // observations that the other arm has no answer to
    std::string first;     // place of the first that differs; "" where none does
  };
  struct Column {
    int64_t step = 0;
    std::string phase;
    int64_t call = 0;  // from 0; of several, the first
  };
  struct Rank {
    int64_t compared = 0;
    int64_t different = 0;
    int64_t only_one = 0;
    std::string first;
  };

  std::string a;
  std::string b;
  bool has_operators = false;
  std::vector<Row> rows;        // at most kMostRows
  std::vector<Column> columns;  // at most kMostColumns
  std::vector<Cell> cells;      // [rows * columns]
  std::vector<Rank> ranks;
  // Where the first difference of a value is; of what only one arm has, where there is none.
  std::optional<size_t> born_row;
  std::optional<size_t> born_column;
  std::string born;  // "step 0, rollout, layers.0.attention_norm#0"

  bool differs() const { return born_row.has_value(); }

  static constexpr size_t kMostRows = 80;
  static constexpr size_t kMostColumns = 120;
};

// Bits are compared, whatever relation ties the arms. Operators are left out where the arms cut the
// work differently.
OperatorSpread spread_between(const ArmRecording& a, const ArmRecording& b,
                              bool compares_operators);

}  // namespace samebits
