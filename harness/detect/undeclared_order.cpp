// undeclared_order: the order of a sum over ranks, at every length of a message and every place in
// it.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <set>

#include "harness/detect/findings.h"
#include "harness/dtensor/copies.h"

namespace samebits {
namespace {

constexpr int64_t kMostRanksToEnumerate = 6;
// Of messages, in elements: from a single row to what libraries split into chunks and channels.
constexpr int64_t kLengths[] = {64, 65, 128, 1000, 1024, 4099, 65536, 1048576};

class OrderCheck {
 public:
  explicit OrderCheck(const RankSum& sum)
      : sum_(sum),
        row_(ill_conditioned_contributions(sum.ranks)),
        width_(row_[0].numel()),
        declared_(sum.declared.sum(row_)) {}

  Findings run() {
    for (const int64_t length : kLengths) {
      const int64_t last = length - width_;
      for (const int64_t offset : std::set<int64_t>{0, 1 % (last + 1), last / 2, last}) {
        check(length, offset);
      }
    }
    return std::move(found_);
  }

 private:
  void check(int64_t length, int64_t offset) {
    std::vector<at::Tensor> messages;
    for (const at::Tensor& contribution : row_) {
      messages.push_back(at::ones({length}, at::kBFloat16));
      messages.back().narrow(0, offset, width_).copy_(contribution);
    }
    const std::vector<at::Tensor> results = sum_.sum(messages);
    for (size_t rank = 0; rank < results.size(); ++rank) {
      const at::Tensor got = results[rank].narrow(0, offset, width_);
      if (same_bits(got, declared_)) continue;
      found_.push_back(fmt::format(
          "{} over {} ranks, at {} of a message of {}, as rank {} has it: declared is {}, found {}",
          sum_.name, sum_.ranks, offset, length, rank, sum_.declared.str(), order_of(got)));
    }
  }

  std::string order_of(const at::Tensor& got) const {
    if (sum_.ranks > kMostRanksToEnumerate) return "another";
    for (const ReductionTree& tree : all_reduction_trees(sum_.ranks)) {
      if (same_bits(got, tree.sum(row_))) return tree.str();
    }
    return "no one order for the whole row";
  }

  const RankSum& sum_;
  std::vector<at::Tensor> row_;  // one contribution a rank
  int64_t width_;
  at::Tensor declared_;
  Findings found_;
};

}  // namespace

Findings undeclared_orders(const Subject& subject) {
  const c10::NoGradGuard no_grad;
  Findings found;
  for (const RankSum& sum : subject.rank_sums) {
    for (std::string& line : OrderCheck(sum).run()) found.push_back(std::move(line));
  }
  return found;
}

}  // namespace samebits
