#include "repro/pad_slot_minus_one/repro.h"

#include <ATen/ATen.h>

#include <limits>
#include <utility>

#include "harness/kernels/functional.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr int64_t kCachePages = 5;
constexpr int64_t kCachePageSize = 16;
constexpr int64_t kCacheSlots = kCachePages * kCachePageSize;
constexpr int64_t kKeyDim = 8;

// In the order of the program's inputs.
enum SlotInput { kKeys, kWrittenTo, kReadFrom };

at::Tensor slots_of_rows(int64_t rows) {
  return at::tensor({3, 40, 79, 17, 5, 62, 28}, at::kLong).narrow(0, 0, rows);
}

Tensors unpadded_rows(int64_t rows) {
  const at::Tensor keys = at::arange(1, rows * kKeyDim + 1, at::kFloat);
  return {keys.view({1, rows, 1, kKeyDim}), slots_of_rows(rows), slots_of_rows(rows)};
}

Tensors padded_rows(int64_t rows, int64_t bucket, PaddingContent content) {
  const bool is_hostile = content == PaddingContent::kHostile;
  Tensors in = unpadded_rows(rows);
  const double value = is_hostile ? std::numeric_limits<double>::quiet_NaN() : 0;
  in[kKeys] = at::cat({in[kKeys], at::full({1, bucket - rows, 1, kKeyDim}, value)}, 1);
  const auto pad = [&](at::Tensor& slots, int64_t slot) {
    slots = at::cat({slots, at::full({bucket - rows}, slot, at::kLong)});
  };
  pad(in[kWrittenTo], -1);
  pad(in[kReadFrom], is_hostile ? kCacheSlots - 1 : 0);
  return in;
}

void write_rows(SlotWrite write, const at::Tensor& keys, const at::Tensor& values,
                const Tensors& in) {
  if (write == SlotWrite::kSkipNegative) {
    ops::write_kv(keys, values, in[kKeys], in[kKeys], in[kWrittenTo]);
    return;
  }
  for (const at::Tensor& cache : {keys, values}) {
    cache.view({kCacheSlots, 1, kKeyDim}).index_put_({in[kWrittenTo]}, in[kKeys].select(0, 0));
  }
}

}  // namespace

Subject rows_in_slots(SlotWrite write) {
  const at::Tensor keys = at::zeros({kCachePages, kCachePageSize, 1, kKeyDim});
  const at::Tensor values = at::zeros_like(keys);
  Subject subject;
  subject.program = [write, keys, values](const Tensors& in) {
    write_rows(write, keys, values, in);
    return Tensors{keys.view({kCacheSlots, kKeyDim}).index_select(0, in[kReadFrom])};
  };
  subject.dims = {{kKeys, 1, "t", 1}, {kWrittenTo, 0, "t", 1}, {kReadFrom, 0, "t", 1}};
  subject.inputs = unpadded_rows;
  subject.hint = 4;
  subject.sizes = sizes_to_try(/*ranks=*/3);
  subject.guards = GuardPolicy::kKeep;  // indexing asks whether there is one row
  subject.rows_dim = 0;
  subject.padding =
      Padding{padded_rows,
              kWrittenTo,
              {keys.view({kCacheSlots, kKeyDim}), values.view({kCacheSlots, kKeyDim})}};
  return subject;
}

Repro pad_slot_minus_one() {
  return {
      "pad_slot_minus_one",
      "a row of padding, whose slot is -1, is written to the last slot of the cache",
      /*is_silent=*/true,
      /*symptom=*/"3 padded to 4: output 0 has other bits than unpadded eager's",
      {"https://github.com/vllm-project/vllm/issues/43810",
       "https://github.com/vllm-project/vllm/pull/43869",
       "https://github.com/vllm-project/vllm/pull/13418",
       "https://github.com/vllm-project/vllm/pull/13922",
       "https://github.com/vllm-project/vllm/issues/38436"},
      [](Side side) {
        return rows_in_slots(side == Side::kBuggy ? SlotWrite::kByIndex : SlotWrite::kSkipNegative);
      },
      /*also=*/{},
      /*on_card=*/{},
      run_padded};
}
SAMEBITS_REPRO(pad_slot_minus_one);

}  // namespace samebits
