#include "repro/guard_dropped_after_specialise/repro.h"

#include <ATen/ATen.h>

#include <utility>

namespace samebits {
namespace {

constexpr int64_t kColumns = 8;
constexpr int64_t kShortTable = 4;  // rows
constexpr int64_t kTable = 64;

at::Tensor ascending(int64_t rows) {
  return at::arange(1, rows * kColumns + 1, at::kFloat).view({rows, kColumns});
}

Subject of_rows(Program program, GuardPolicy guards, int64_t hint, std::vector<int64_t> sizes) {
  Subject subject;
  subject.program = std::move(program);
  subject.dims = {{0, 0, "s", 1}};
  subject.inputs = [](int64_t size) { return std::vector<at::Tensor>{ascending(size)}; };
  subject.hint = hint;
  subject.sizes = std::move(sizes);
  subject.guards = guards;
  return subject;
}

}  // namespace

Subject sum_or_mean(GuardPolicy guards) {
  const Program program = [](const std::vector<at::Tensor>& in) {
    const bool is_even = (in[0].sym_size(0) % 2).sym_eq(0).guard_bool(__FILE__, __LINE__);
    return std::vector<at::Tensor>{is_even ? in[0].sum() : in[0].mean()};
  };
  return of_rows(program, guards, /*hint=*/6, {6, 5, 4, 7, 1});
}

Subject last_row(GuardPolicy guards) {
  const Program program = [](const std::vector<at::Tensor>& in) {
    const c10::SymInt rows = in[0].sym_size(0);
    const bool is_one = rows.sym_eq(1).guard_bool(__FILE__, __LINE__);
    const at::Tensor last = is_one ? in[0] : in[0].slice_symint(/*dim=*/0, rows - 1, rows);
    return std::vector<at::Tensor>{last.neg()};
  };
  return of_rows(program, guards, /*hint=*/1, {1, 2, 5});
}

Subject plus_table(GuardPolicy guards) {
  const at::Tensor table = ascending(kTable);
  const at::Tensor short_table = ascending(kShortTable);
  const Program program = [table, short_table](const std::vector<at::Tensor>& in) {
    const c10::SymInt rows = in[0].sym_size(0);
    const bool is_enough = rows.sym_le(kShortTable).guard_bool(__FILE__, __LINE__);
    const at::Tensor& from = is_enough ? short_table : table;
    return std::vector<at::Tensor>{in[0] + from.slice_symint(/*dim=*/0, 0, rows)};
  };
  return of_rows(program, guards, /*hint=*/kShortTable, {1, kShortTable, kShortTable + 1, kTable});
}

Repro guard_dropped_after_specialise() {
  return {"guard_dropped_after_specialise",
          "a graph that took the branch of one size is served at sizes of the other branch",
          /*is_silent=*/true,
          /*symptom=*/"traced at 6, served at 5: output 0 has other bits than eager's",
          {"https://github.com/vllm-project/vllm/pull/26199",
           "https://github.com/vllm-project/vllm/pull/27432",
           "https://github.com/vllm-project/vllm/issues/20394",
           "https://github.com/1CatAI/1Cat-vLLM/issues/614",
           "https://github.com/pytorch/pytorch/issues/180913"},
          [](Side side) {
            return sum_or_mean(side == Side::kBuggy ? GuardPolicy::kDrop : GuardPolicy::kKeep);
          },
          {{"traced at one row",
            "traced at 1, served at 2: output 0 has sizes [2, 8], eager gives [1, 8]",
            [] { return last_row(GuardPolicy::kDrop); }},
           {"a table that is long enough", "traced at 4, served at 5: The size of tensor a (5)",
            [] { return plus_table(GuardPolicy::kDrop); }}}};
}
SAMEBITS_REPRO(guard_dropped_after_specialise);

}  // namespace samebits
