#include "harness/workload/micro_batch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace samebits {

PackedSequences pack(const std::vector<TokenSequence>& sequences) {
  std::vector<int64_t> ids, positions, cu_seqlens = {0}, rows, targets, cu_rows = {0};
  for (const auto& [tokens, first] : sequences) {
    TORCH_CHECK(first > 0, "the first token of a sequence has no logprob");
    const auto length = static_cast<int64_t>(tokens.size());
    for (int64_t t = 0; t < length; ++t) positions.push_back(t);
    for (int64_t t = first - 1; t + 1 < length; ++t) rows.push_back(cu_seqlens.back() + t);
    ids.insert(ids.end(), tokens.begin(), tokens.end());
    targets.insert(targets.end(), tokens.begin() + first, tokens.end());
    cu_seqlens.push_back(cu_seqlens.back() + length);
    cu_rows.push_back(static_cast<int64_t>(rows.size()));
  }
  return {at::tensor(ids).unsqueeze(0),     at::tensor(positions).unsqueeze(0),
          at::tensor(cu_seqlens, at::kInt), at::tensor(rows),
          at::tensor(targets).unsqueeze(0), at::tensor(cu_rows, at::kInt)};
}

at::Tensor by_groups(const at::Tensor& boundaries, const std::vector<int64_t>& sequences,
                     int64_t width) {
  const auto groups = static_cast<int64_t>(sequences.size());
  const at::Tensor rows = at::empty({groups, width}, at::kInt);
  auto* to = rows.mutable_data_ptr<int32_t>();
  const auto* from = boundaries.const_data_ptr<int32_t>();
  for (const int64_t count : sequences) {
    for (int64_t i = 0; i < width; ++i) *to++ = from[std::min(i, count)];
    from += count;
  }
  return rows;
}

std::vector<DynamicDim> micro_batch_dims(const LossSettings& loss) {
  std::vector<DynamicDim> dims = {
      {kIds, 1, "tokens", 2},           {kPositions, 1, "tokens", 2},
      {kCuSeqlens, 0, "boundaries", 2}, {kRows, 0, "generated", 1},
      {kTargets, 1, "generated", 1},    {kCuRows, 0, "boundaries", 2},
      {kReference, 0, "generated", 1},  {kAdvantage, 0, "sequences", 1},
      {kStarts, 0, "groups", 1},        {kStarts, 1, "boundaries_of_group", 2},
      {kRowStarts, 0, "groups", 1},     {kRowStarts, 1, "boundaries_of_group", 2},
  };
  if (loss.kl_reference == KlReference::kInitial) {
    dims.push_back({kInitialLogprobs, 0, "generated", 1});
  }
  return dims;
}

Buckets trainer_buckets(int64_t max_tokens) { return Buckets::by_eighths(max_tokens + 1); }

ReplayForm micro_batch_form(const LossSettings& loss, const MicroBatchSizes& most, const Mode& mode,
                            std::shared_ptr<ReplayPool> pool) {
  enum Count : size_t { kRoom, kGenerated, kGroups, kTokens };
  using Linear = BucketedInput::Linear;
  const Linear one = {0, 1}, zero = {0, 0};
  const Linear room = {1, 0, kRoom}, generated = {1, 0, kGenerated}, tokens = {1, 0, kTokens};
  const Linear sequences = {most.of_group, 0, kGroups}, boundaries = {most.of_group, 1, kGroups};
  const std::vector<Linear> by_group = {{1, 0, kGroups}, {0, most.of_group + 1}};
  ReplayForm form;
  form.name = "micro-batch";
  form.inputs = {{at::kLong, {one, room}, /*ids*/ zero},
                 {at::kLong, {one, room}, /*positions*/ zero},
                 {at::kInt, {boundaries}, /*cu_seqlens*/ tokens},
                 {at::kLong, {generated}, /*rows*/ tokens},
                 {at::kLong, {one, generated}, /*targets*/ zero},
                 {at::kInt, {boundaries}, /*cu_rows*/ generated},
                 {at::kFloat, {generated}, /*reference*/ zero},
                 {at::kFloat, {sequences}, /*advantage*/ zero},
                 {at::kLong, {}, /*tokens of the step*/ zero},
                 {at::kInt, by_group, /*starts*/ zero},
                 {at::kInt, by_group, /*row_starts*/ zero}};
  if (loss.kl_reference == KlReference::kInitial) {
    form.inputs.push_back({at::kFloat, {generated}, zero});
  }
  const Buckets sizes = mode.buckets.empty() ? trainer_buckets(most.tokens) : Buckets(mode.buckets);
  form.buckets = {sizes, sizes, Buckets::powers_of_two(most.groups)};
  form.call = [sizes](const std::vector<at::Tensor>& in) -> std::optional<ReplayCall> {
    const int64_t tokens = in[kIds].size(1);
    const int64_t rows = in[kRows].size(0);
    const int64_t own = in[kAdvantage].size(0);
    const bool pads_rows = !sizes.holds(rows) || sizes.bucket_for(rows) != rows;
    return ReplayCall{{tokens + (pads_rows ? 1 : 0), rows, in[kStarts].size(0), tokens},
                      {own, own, rows}};
  };
  form.pool = std::move(pool);
  form.counts_of_nothing = {1, 0, 0, 0};
  return form;
}

}  // namespace samebits
