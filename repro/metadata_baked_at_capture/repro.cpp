#include "repro/metadata_baked_at_capture/repro.h"

#include <ATen/ATen.h>

#include <memory>
#include <optional>

#include "harness/kernels/functional.h"

namespace samebits {
namespace {

constexpr int64_t kPlannedPages = 2;
constexpr int64_t kPlannedPageSize = 16;
constexpr int64_t kQueryHeads = 2;
constexpr int64_t kPlannedHeadDim = 16;

at::Tensor small_numbers(at::IntArrayRef sizes, c10::Device device) {
  const at::Tensor x = at::arange(c10::multiply_integers(sizes), at::kFloat).remainder(7).sub(3);
  return x.view(sizes).to(at::kBFloat16).to(device);
}

// One layer's attention over a cache that is full, and what it keeps from one forward to the next.
class PlannedAttention {
 public:
  PlannedAttention(PlannedLengths lengths, c10::Device device)
      : lengths_(lengths),
        k_cache_(small_numbers({kPlannedPages, kPlannedPageSize, 1, kPlannedHeadDim}, device)),
        v_cache_(k_cache_.neg()),
        block_table_(at::arange(kPlannedPages, at::kInt).view({1, -1}).to(device)),
        cu_seqlens_(at::arange(2, at::kInt).to(device)),
        numbers_(at::arange(kPlannedPages * kPlannedPageSize + 1, at::kInt).to(device)) {}

  void begin_step(int64_t length) {
    if (plan_) old_plans_.push_back(*plan_);
    plan_.reset();
    length_ = length;
  }

  at::Tensor forward(const at::Tensor& q, const at::Tensor& seq_lens) {
    return ops::paged_attention(q, k_cache_, v_cache_, block_table_, cu_seqlens_, planned(seq_lens),
                                /*scale=*/0.25);
  }

 private:
  at::Tensor planned(const at::Tensor& seq_lens) {
    if (lengths_ == PlannedLengths::kOfTheHost) return numbers_.slice(0, length_, length_ + 1);
    if (lengths_ == PlannedLengths::kEachForward || !plan_) plan_ = seq_lens.clone();
    return *plan_;
  }

  PlannedLengths lengths_;
  at::Tensor k_cache_;
  at::Tensor v_cache_;
  at::Tensor block_table_;
  at::Tensor cu_seqlens_;
  at::Tensor numbers_;  // 0, 1, 2, ...
  int64_t length_ = 0;
  std::optional<at::Tensor> plan_;
  std::vector<at::Tensor> old_plans_;  // somebody else still holds them
};

Subject planned_side(Side side, c10::Device device) {
  return decode_at_length(
      side == Side::kBuggy ? PlannedLengths::kOnceAStep : PlannedLengths::kEachForward, device);
}

}  // namespace

Subject decode_at_length(PlannedLengths lengths, c10::Device device) {
  const auto attention = std::make_shared<PlannedAttention>(lengths, device);
  Subject subject;
  subject.program = [attention](const std::vector<at::Tensor>& in) {
    return std::vector<at::Tensor>{attention->forward(in[0], in[1])};
  };
  subject.inputs = [attention, device](int64_t size) {
    attention->begin_step(size);
    return std::vector<at::Tensor>{small_numbers({1, 1, kQueryHeads, kPlannedHeadDim}, device),
                                   at::full({1}, size, at::kInt).to(device)};
  };
  subject.hint = 4;
  subject.sizes = {4, 9, 1, 17, 32};
  return subject;
}

Repro metadata_baked_at_capture() {
  const std::string symptom = "captured at 4, replayed at 9: output 0 has other bits than eager's";
  return {
      "metadata_baked_at_capture",
      "the warm-up makes the plan of a step, so the graph has none and replays that one for ever",
      /*is_silent=*/true,
      symptom,
      {"https://github.com/vllm-project/vllm/pull/42444",
       "https://github.com/pytorch/torchtitan/pull/3776",
       "https://github.com/pytorch/torchtitan/pull/3685",
       "https://github.com/pytorch/torchtitan/pull/3893",
       "https://github.com/vllm-project/vllm/pull/19106"},
      [](Side side) { return planned_side(side, c10::kCPU); },
      {{"a length that the host knows", symptom,
        [] { return decode_at_length(PlannedLengths::kOfTheHost); }}},
      OnCard{symptom, [](Side side) { return planned_side(side, c10::kCUDA); }, run_replayed},
      run_replayed};
}
SAMEBITS_REPRO(metadata_baked_at_capture);

}  // namespace samebits
