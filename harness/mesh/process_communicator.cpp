#include "harness/mesh/process_communicator.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "harness/dispatch/launch.h"
#include "harness/mesh/shard.h"
#include "harness/mesh/tree_sum.h"

namespace samebits {
namespace {

// Below, one exchange costs more than the bytes that slices save. Two ranks move as many bytes
// either way: slices save them half of the additions, which counts once a sum stays in no cache.
constexpr int64_t kSlicedBytes = 64 * 1024;
constexpr int64_t kSlicedBytesOfTwo = 4 * 1024 * 1024;

const at::Tensor& own(const std::vector<at::Tensor>& tensors) {
  TORCH_CHECK(tensors.size() == 1, "collective of a rank in its own process: found ",
              tensors.size(), " tensors, expected one");
  return tensors[0];
}

int64_t size_of_shard(int64_t size, int64_t n, int64_t rank) {
  return shard_size(size, n, rank).expect_int();
}

int64_t elements(at::IntArrayRef sizes) { return c10::multiply_integers(sizes); }

std::vector<int64_t> with_size(at::IntArrayRef sizes, int64_t dim, int64_t size) {
  std::vector<int64_t> result = sizes.vec();
  result[static_cast<size_t>(dim)] = size;
  return result;
}

std::vector<at::Tensor> rows_of(const at::Tensor& x) {
  std::vector<at::Tensor> rows;
  for (int64_t i = 0; i < x.size(0); ++i) rows.push_back(x.select(0, i));
  return rows;
}

// The first elements of a row of a buffer, as a tensor of these sizes: a view.
at::Tensor shaped(const at::Tensor& row, at::IntArrayRef sizes) {
  return row.narrow(0, 0, elements(sizes)).view(sizes);
}

// With zeros at its end, where it has fewer elements.
at::Tensor padded(const at::Tensor& flat, int64_t count) {
  if (flat.numel() == count) return flat;
  at::Tensor longer = at::empty({count}, flat.options());
  longer.narrow(0, 0, flat.numel()).copy_(flat);
  longer.narrow(0, flat.numel(), count - flat.numel()).zero_();
  return longer;
}

void check_shard(const at::Tensor& shard, int64_t dim, int64_t size, int64_t n, int64_t rank) {
  TORCH_CHECK(dim >= 0 && dim < shard.dim(), "collective along dimension ", dim,
              ": found a tensor of ", shard.dim(), " dimensions");
  const int64_t expected = size_of_shard(size, n, rank);
  TORCH_CHECK(shard.size(dim) == expected, "the shard of rank ", rank, " along dimension ", dim,
              ": found size ", shard.size(dim), ", expected ", expected, " of ", size);
}

}  // namespace

ProcessCommunicator::ProcessCommunicator(std::unique_ptr<Transport> transport)
    : transport_(std::move(transport)), n_(transport_->size()), rank_(transport_->rank()) {}

// A recorded launch has the transport by address: graphs do not outlive the mesh that they hold.
at::Tensor ProcessCommunicator::gathered(const at::Tensor& given) {
  at::Tensor got = at::empty({n_, given.numel()}, given.options());
  if (given.numel() == 0) return got;
  if (given.device() != transport_->device()) {
    const at::Tensor staged = given.to(transport_->device());
    at::Tensor all = at::empty({n_, given.numel()}, staged.options());
    transport_->all_gather(staged.const_data_ptr(), all.mutable_data_ptr(),
                           static_cast<int64_t>(staged.nbytes()));
    return got.copy_(all);
  }
  launch("all_gather", [transport = transport_.get(), from = given.const_data_ptr(),
                        to = got.mutable_data_ptr(), bytes = static_cast<int64_t>(given.nbytes())] {
    transport->all_gather(from, to, bytes);
  });
  return got;
}

at::Tensor ProcessCommunicator::exchanged(const at::Tensor& given) {
  at::Tensor got = at::empty(given.sizes(), given.options());
  if (given.numel() == 0) return got;
  const auto bytes = static_cast<int64_t>(given.nbytes()) / n_;
  if (given.device() != transport_->device()) {
    const at::Tensor staged = given.to(transport_->device());
    at::Tensor all = at::empty(given.sizes(), staged.options());
    transport_->all_to_all(staged.const_data_ptr(), all.mutable_data_ptr(), bytes);
    return got.copy_(all);
  }
  launch("all_to_all",
         [transport = transport_.get(), from = given.const_data_ptr(), to = got.mutable_data_ptr(),
          bytes] { transport->all_to_all(from, to, bytes); });
  return got;
}

std::vector<at::Tensor> ProcessCommunicator::all_gather(const std::vector<at::Tensor>& shards,
                                                        int64_t dim, int64_t size) {
  const at::Tensor& shard = own(shards);
  check_shard(shard, dim, size, n_, rank_);
  const std::vector<int64_t> longest =
      with_size(shard.sizes(), dim, size_of_shard(size, n_, /*rank=*/0));
  at::Tensor given = at::empty({elements(longest)}, shard.options());
  shaped(given, shard.sizes()).copy_(shard);
  const at::Tensor all = gathered(given);
  std::vector<at::Tensor> pieces;
  for (int64_t rank = 0; rank < n_; ++rank) {
    const int64_t part = size_of_shard(size, n_, rank);
    pieces.push_back(shaped(all.select(0, rank), with_size(shard.sizes(), dim, part)));
  }
  return {at::cat(pieces, dim)};
}

std::vector<at::Tensor> ProcessCommunicator::all_reduce(const std::vector<at::Tensor>& parts) {
  const at::Tensor part = own(parts).contiguous().view({-1});
  const at::IntArrayRef sizes = parts[0].sizes();
  const int64_t most_whole = n_ == 2 ? kSlicedBytesOfTwo : kSlicedBytes;
  if (static_cast<int64_t>(part.nbytes()) <= most_whole) {
    return {tree_sum(rows_of(gathered(part))).view(sizes)};
  }
  const int64_t slice = (part.numel() + n_ - 1) / n_;
  const at::Tensor given = padded(part, n_ * slice).view({n_, slice});
  const at::Tensor mine = tree_sum(rows_of(exchanged(given)));
  return {gathered(mine).view({-1}).narrow(0, 0, part.numel()).view(sizes)};
}

std::vector<at::Tensor> ProcessCommunicator::reduce_scatter(const std::vector<at::Tensor>& parts,
                                                            int64_t dim) {
  const at::Tensor& part = own(parts);
  const int64_t size = part.size(dim);
  const int64_t longest =
      elements(with_size(part.sizes(), dim, size_of_shard(size, n_, /*rank=*/0)));
  at::Tensor given = at::empty({n_, longest}, part.options());
  for (int64_t rank = 0; rank < n_; ++rank) {
    const at::Tensor share = share_of(part, dim, n_, rank);
    shaped(given.select(0, rank), share.sizes()).copy_(share);
  }
  const at::Tensor got = exchanged(given);
  const std::vector<int64_t> sizes = with_size(part.sizes(), dim, size_of_shard(size, n_, rank_));
  std::vector<at::Tensor> shares;
  for (int64_t rank = 0; rank < n_; ++rank) shares.push_back(shaped(got.select(0, rank), sizes));
  return {tree_sum(std::move(shares))};
}

std::vector<at::Tensor> ProcessCommunicator::all_to_all(const std::vector<at::Tensor>& shards,
                                                        int64_t from, int64_t size, int64_t to) {
  const at::Tensor& shard = own(shards);
  check_shard(shard, from, size, n_, rank_);
  // Of rank `sender`'s shard, what rank `receiver` gets.
  const auto sizes_of_piece = [&](int64_t sender, int64_t receiver) {
    const std::vector<int64_t> whole =
        with_size(shard.sizes(), from, size_of_shard(size, n_, sender));
    return with_size(whole, to, size_of_shard(shard.size(to), n_, receiver));
  };
  at::Tensor given = at::empty({n_, elements(sizes_of_piece(0, 0))}, shard.options());
  for (int64_t rank = 0; rank < n_; ++rank) {
    const at::Tensor piece = share_of(shard, to, n_, rank);
    shaped(given.select(0, rank), piece.sizes()).copy_(piece);
  }
  const at::Tensor got = exchanged(given);
  std::vector<at::Tensor> pieces;
  for (int64_t rank = 0; rank < n_; ++rank) {
    pieces.push_back(shaped(got.select(0, rank), sizes_of_piece(rank, rank_)));
  }
  return {at::cat(pieces, from)};
}

}  // namespace samebits
