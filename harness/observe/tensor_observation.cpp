#include "harness/observe/tensor_observation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/strides.h>

#include <utility>

#include "harness/dtensor/copies.h"
#include "harness/dtensor/dtensor.h"
#include "harness/kernels/functional.h"
#include "harness/mesh/shard.h"

namespace samebits {

Dtype dtype_from_scalar_type(at::ScalarType type) {
  switch (type) {
    case at::kBool:
      return Dtype::bool_;
    case at::kByte:
      return Dtype::uint8;
    case at::kInt:
      return Dtype::int32;
    case at::kLong:
      return Dtype::int64;
    case at::kHalf:
      return Dtype::float16;
    case at::kBFloat16:
      return Dtype::bfloat16;
    case at::kFloat:
      return Dtype::float32;
    case at::kDouble:
      return Dtype::float64;
    default:
      TORCH_CHECK(false, "a tensor of dtype ", type, " cannot be observed");
  }
}

namespace {

const at::Tensor& sums_of(const Unread& unread) {
  const auto* one = std::get_if<UnreadObservation>(&unread);
  return one ? one->sums : std::get<UnreadReplay>(unread).digests.sums;
}

// Without its digest.
Observation observation_of(const passes::Mark& mark, const UnreadReplay& replay) {
  Observation observation{.step = replay.step,
                          .phase = replay.phase,
                          .site = mark.site,
                          .rank = static_cast<int32_t>(replay.rank),
                          .dtype = dtype_from_scalar_type(mark.meta.dtype)};
  for (const sym::Expr& size : mark.meta.sizes) {
    observation.shape.push_back(size.evaluate(replay.digests.symbols));
  }
  return observation;
}

// The digests of a tensor on a card, int64 [n, 2]: of each hosted rank's copy of a Replicate.
at::Tensor digests_of(const at::Tensor& value, const at::Tensor& whole) {
  if (!is_dtensor(value) || !spec_of(value).placements.is_replicate()) {
    return ops::digest_sums(whole).view({1, 2});
  }
  std::vector<at::Tensor> copies;
  for (const at::Tensor& local : locals_of(value))
    copies.push_back(ops::digest_sums(local.contiguous()));
  return at::stack(copies);
}

// On a mesh of one dimension, where each element is on one rank.
bool lies_in_shards(const at::Tensor& value) {
  return is_dtensor(value) && spec_of(value).mesh->dims() == 1 &&
         spec_of(value).placement().is_shard();
}

// Each rank digests its own shards, keyed by the whole's indices: the sums of all shards are the
// whole's (bits/digest.h), so that no tensor moves. Where ranks are elsewhere, theirs are added
// when the observation is read.
UnreadObservation observe_shards(Observation observation, const at::Tensor& value) {
  const DTensorSpec& spec = spec_of(value);
  const int64_t dim = spec.placement().dim();
  const int64_t ranks = spec.mesh->size();
  const c10::DimVector strides = c10::contiguous_strides(value.sizes());
  const std::vector<at::Tensor>& locals = locals_of(value);
  DigestSums sums;
  for (size_t i = 0; i < locals.size(); ++i) {
    const at::Tensor local = locals[i].contiguous();
    const int64_t first =
        shard_offset(value.size(dim), ranks, spec.mesh->hosted_ranks()[i]).expect_int();
    add_block(sums, local.element_size(), local.const_data_ptr(), local.sizes(), local.strides(),
              strides, first * strides[static_cast<size_t>(dim)]);
    observation.nonfinite +=
        count_nonfinite(observation.dtype, local.const_data_ptr(), local.numel());
  }
  if (static_cast<int64_t>(locals.size()) == ranks) {
    observation.digest = finish_digest(sums, observation.dtype, observation.shape);
    return {std::move(observation), {}, {}, {}};
  }
  const at::Tensor nonfinite = at::scalar_tensor(observation.nonfinite, at::kLong);
  return {std::move(observation),
          at::tensor({static_cast<int64_t>(sums.a), static_cast<int64_t>(sums.b)}), nonfinite,
          spec.mesh};
}

// Adds the sums of other processes to the rows of this one's shards, all of them in one exchange.
void add_ranks_elsewhere(at::Tensor& rows, const std::vector<int64_t>& of_shards,
                         const DeviceMesh& mesh) {
  const at::Tensor index = at::tensor(of_shards);
  const at::Tensor mine = rows.index_select(0, index).view({1, -1});
  const at::Tensor all = mesh.communicator().all_gather({mine}, /*dim=*/0, mesh.size())[0];
  rows.index_copy_(0, index, all.sum(0).view({-1, 2}));  // modulo 2^64
}

}  // namespace

UnreadObservation begin_observation(int64_t step, std::string phase, int64_t rank, std::string site,
                                    const at::Tensor& value) {
  const c10::NoGradGuard no_grad;
  if (lies_in_shards(value) && value.is_cpu()) {
    Observation observation{.step = step,
                            .phase = std::move(phase),
                            .site = std::move(site),
                            .rank = static_cast<int32_t>(rank),
                            .dtype = dtype_from_scalar_type(value.scalar_type()),
                            .shape = value.sizes().vec()};
    return observe_shards(std::move(observation), value);
  }
  at::Tensor whole = (is_dtensor(value) ? full_tensor(value) : value).detach().contiguous();
  const Dtype dtype = dtype_from_scalar_type(whole.scalar_type());
  if (whole.is_cuda() && whole.dim() > 0) {
    Observation observation{.step = step,
                            .phase = std::move(phase),
                            .site = std::move(site),
                            .rank = static_cast<int32_t>(rank),
                            .dtype = dtype,
                            .shape = whole.sizes().vec()};
    return {std::move(observation),
            digests_of(value, whole),
            at::isfinite(whole).logical_not().sum(),
            {}};
  }
  whole = whole.cpu();
  Observation observation = observe_tensor(step, std::move(phase), rank, std::move(site), dtype,
                                           whole.sizes().vec(), whole.const_data_ptr());
  observation.apart = ranks_apart(value);
  return {std::move(observation), {}, {}, {}};
}

int64_t held_bytes(const Unread& unread) {
  const auto bytes_of = [](const at::Tensor& tensor) {
    return tensor.defined() ? static_cast<int64_t>(tensor.nbytes()) : 0;
  };
  size_t host = sizeof(Unread);
  if (const auto* one = std::get_if<UnreadObservation>(&unread)) {
    const Observation& seen = one->observation;
    host += seen.phase.size() + seen.site.size() + sizeof(int64_t) * seen.shape.size();
    return static_cast<int64_t>(host) + bytes_of(one->sums) + bytes_of(one->nonfinite);
  }
  const auto& replay = std::get<UnreadReplay>(unread);
  host += replay.phase.size() + sizeof(int64_t) * replay.digests.symbols.size();
  return static_cast<int64_t>(host) + bytes_of(replay.digests.sums);
}

bool needs_other_ranks(const Unread& unread) {
  const auto* one = std::get_if<UnreadObservation>(&unread);
  return one != nullptr && one->mesh;
}

std::vector<Observation> read_observations(std::vector<Unread> unread) {
  std::vector<at::Tensor> sums;    // rows of two
  std::vector<int64_t> of_shards;  // rows
  c10::intrusive_ptr<DeviceMesh> mesh;
  int64_t rows = 0;
  const auto add = [&](const at::Tensor& some, bool is_of_shards) {
    sums.push_back(some.view({-1, 2}));
    for (int64_t i = 0; i < sums.back().size(0); ++i, ++rows) {
      if (is_of_shards) of_shards.push_back(rows);
    }
  };
  for (const Unread& each : unread) {
    const bool is_of_shards = needs_other_ranks(each);
    const at::Tensor& some = sums_of(each);
    if (some.defined()) add(some, is_of_shards);
    const auto* one = std::get_if<UnreadObservation>(&each);
    if (one == nullptr) continue;
    if (one->nonfinite.defined()) add(one->nonfinite.view({1}).expand({2}), is_of_shards);
    if (is_of_shards) mesh = one->mesh;
  }
  at::Tensor all = sums.empty() ? at::Tensor() : at::cat(sums).cpu();
  if (mesh) add_ranks_elsewhere(all, of_shards, *mesh);
  const int64_t* next = sums.empty() ? nullptr : all.const_data_ptr<int64_t>();
  // The first digest is the observation's, the others are of copies that ought to be the same.
  const auto finish = [&](Observation observation, int64_t digests) {
    const int64_t* first = next;
    const DigestSums read{static_cast<uint64_t>(first[0]), static_cast<uint64_t>(first[1])};
    observation.digest = finish_digest(read, observation.dtype, observation.shape);
    for (int64_t rank = 0; rank < digests; ++rank, next += 2) {
      if (next[0] != first[0] || next[1] != first[1]) observation.apart.push_back(rank);
    }
    return observation;
  };
  std::vector<Observation> observations;
  for (Unread& each : unread) {
    if (auto* one = std::get_if<UnreadObservation>(&each)) {
      Observation& seen = one->observation;
      observations.push_back(one->sums.defined() ? finish(std::move(seen), one->sums.numel() / 2)
                                                 : std::move(seen));
      if (one->nonfinite.defined()) {
        observations.back().nonfinite = next[0];
        next += 2;
      }
      continue;
    }
    const auto& replay = std::get<UnreadReplay>(each);
    for (const passes::Mark& mark : *replay.digests.marks) {
      observations.push_back(finish(observation_of(mark, replay), mark.digests));
    }
  }
  return observations;
}

}  // namespace samebits
