#include "harness/mesh/process_communicator.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <array>
#include <cstdlib>
#include <random>

#include "harness/base/error.h"
#include "harness/mesh/local_communicator.h"
#include "harness/mesh/shard.h"
#include "harness/mesh/shared_memory_transport.h"
#include "tests/mesh/processes.h"

namespace samebits {
namespace {

using Tensors = std::vector<at::Tensor>;
using ::testing::HasSubstr;

// Values for which another order of additions gives other bits.
at::Tensor ill_conditioned(at::IntArrayRef sizes, at::ScalarType dtype, int64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(static_cast<uint64_t>(seed));
  const at::Tensor mantissas = at::randn(sizes, generator, at::kFloat);
  const at::Tensor exponents = at::randint(-12, 13, sizes, generator, at::kFloat);
  return (mantissas * at::exp2(exponents)).to(dtype);
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && a.is_contiguous() &&
         (a.numel() == 0 ||
          std::memcmp(a.const_data_ptr(), b.contiguous().const_data_ptr(), a.nbytes()) == 0);
}

struct Collective {
  const char* name;
  // Of the arguments of all ranks (local) or of one (process).
  std::function<Tensors(Communicator&, const Tensors&)> call;
};

struct Transports {
  const char* name;
  testing::Connect connect;
};
const Transports kTransports[] = {{"gloo", testing::by_gloo},
                                  {"shared memory", make_shared_memory_transport}};

// Collectives of n ranks, each on the local communicator and, one after the other, on ranks that
// each transport connects.
class Comparison {
 public:
  explicit Comparison(int64_t n) : n_(n) {}
  void add(const Tensors& arguments, const Collective& collective) {
    calls_.push_back({arguments, collective});
  }

  void expect_equal() const {
    for (const Transports& transports : kTransports) expect_equal(transports);
  }

 private:
  void expect_equal(const Transports& transports) const {
    std::vector<Tensors> got(calls_.size(), Tensors(static_cast<size_t>(n_)));
    testing::run_ranks(
        n_,
        [&](std::unique_ptr<Transport> transport) {
          const auto rank = static_cast<size_t>(transport->rank());
          ProcessCommunicator communicator(std::move(transport));
          for (size_t i = 0; i < calls_.size(); ++i) {
            const auto& [arguments, collective] = calls_[i];
            got[i][rank] = collective.call(communicator, {arguments[rank]}).at(0);
          }
        },
        std::chrono::seconds(60), transports.connect);
    LocalCommunicator local(n_);
    for (size_t i = 0; i < calls_.size(); ++i) {
      const auto& [arguments, collective] = calls_[i];
      const Tensors expected = collective.call(local, arguments);
      for (int64_t rank = 0; rank < n_; ++rank) {
        EXPECT_TRUE(same_bits(got[i][rank], expected[rank]))
            << transports.name << ", " << collective.name << ", rank " << rank << " of " << n_
            << ": " << got[i][rank].sizes() << " against " << expected[rank].sizes();
      }
    }
  }

  struct Call {
    Tensors arguments;
    Collective collective;
  };
  int64_t n_;
  std::vector<Call> calls_;
};

class ProcessCommunicatorTest : public ::testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Ranks, ProcessCommunicatorTest, ::testing::Values(1, 2, 3, 4));

TEST_P(ProcessCommunicatorTest, GivesTheBitsOfTheLocalOne) {
  const int64_t n = GetParam();
  std::mt19937_64 random(static_cast<uint64_t>(n));
  const auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  Comparison comparison(n);
  for (int i = 0; i < 25; ++i) {
    std::vector<int64_t> sizes;
    for (int64_t d = pick(2, 4); d > 0; --d) sizes.push_back(pick(0, 9));
    const auto last = static_cast<int64_t>(sizes.size()) - 1;
    const int64_t dim = pick(0, last);
    const int64_t other = (dim + pick(1, last)) % (last + 1);
    const at::ScalarType dtype = i % 2 == 0 ? at::kBFloat16 : at::kFloat;
    const at::Tensor whole = ill_conditioned(sizes, dtype, i);
    Tensors shards, parts;
    for (int64_t rank = 0; rank < n; ++rank) {
      shards.push_back(share_of(whole, dim, n, rank));  // not contiguous, for most
      parts.push_back(ill_conditioned(sizes, dtype, 100 + 10 * i + rank));
    }
    const int64_t size = whole.size(dim);
    comparison.add(shards, {"all_gather", [=](Communicator& c, const Tensors& given) {
                              return c.all_gather(given, dim, size);
                            }});
    comparison.add(shards, {"all_to_all", [=](Communicator& c, const Tensors& given) {
                              return c.all_to_all(given, dim, size, other);
                            }});
    comparison.add(parts, {"all_reduce", [=](Communicator& c, const Tensors& given) {
                             return c.all_reduce(given);
                           }});
    comparison.add(parts, {"reduce_scatter", [=](Communicator& c, const Tensors& given) {
                             return c.reduce_scatter(given, dim);
                           }});
  }
  comparison.expect_equal();
}

// Where sums go in slices, and a slice is not of one size with the others.
TEST_P(ProcessCommunicatorTest, LargeSumsHaveTheSameOrder) {
  const int64_t n = GetParam();
  Comparison comparison(n);
  for (const int64_t elements : {16 * 1024, 16 * 1024 + 1, 100'003, 1'100'001}) {
    Tensors parts;
    for (int64_t rank = 0; rank < n; ++rank) {
      parts.push_back(ill_conditioned({elements}, at::kFloat, rank));
    }
    comparison.add(parts, {"all_reduce", [](Communicator& c, const Tensors& given) {
                             return c.all_reduce(given);
                           }});
  }
  comparison.expect_equal();
}

TEST(ProcessCommunicator, RefusesAShardOfAnotherSizeBeforeAnythingIsSent) {
  testing::run_ranks(2, [](std::unique_ptr<Transport> transport) {
    ProcessCommunicator communicator(std::move(transport));
    EXPECT_THROW(communicator.all_gather({at::ones({3})}, 0, 4), c10::Error);
    EXPECT_THROW(communicator.all_gather({at::ones({2}), at::ones({2})}, 0, 4), c10::Error);
  });
}

TEST(ProcessCommunicator, APeerThatDoesNotComeIsAnErrorThatNamesTheCollective) {
  for (const Transports& transports : kTransports) {
    std::string said;
    testing::run_ranks(
        2,
        [&](std::unique_ptr<Transport> transport) {
          if (transport->rank() == 1) return;  // its end closes the connection
          ProcessCommunicator communicator(std::move(transport));
          try {
            communicator.all_gather({at::ones({1, 3})}, 0, 2);
            FAIL() << "nothing was thrown";
          } catch (const RunError& error) {
            said = error.what();
          }
        },
        std::chrono::seconds(2), transports.connect);
    EXPECT_THAT(said, HasSubstr("collective 1 (all_gather of 2 ranks): ")) << transports.name;
  }
}

// Rounds without number, so that a slot that is written too early would be seen.
TEST(SharedMemory, NobodyReadsAnotherRound) {
  testing::run_ranks(
      3,
      [](std::unique_ptr<Transport> transport) {
        for (int64_t round = 0; round < 20'000; ++round) {
          const int64_t given = 3 * round + transport->rank();
          std::array<int64_t, 3> got = {};
          transport->all_gather(&given, got.data(), sizeof given);
          ASSERT_EQ(got, (std::array{3 * round, 3 * round + 1, 3 * round + 2}));
        }
      },
      std::chrono::seconds(60), make_shared_memory_transport);
}

TEST(SharedMemory, IsNotTakenWhereGlooIsWanted) {
  std::atomic<int> without = 0;
  setenv("GLOO_SOCKET_IFNAME", "lo", /*overwrite=*/1);
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::thread> ranks;
  for (int64_t rank = 0; rank < 2; ++rank) {
    ranks.emplace_back([&, rank] {
      CollectiveLog log;
      const auto transport =
          make_shared_memory_transport(store, rank, 2, std::chrono::seconds(10), log);
      without += transport == nullptr ? 1 : 0;
    });
  }
  for (std::thread& rank : ranks) rank.join();
  unsetenv("GLOO_SOCKET_IFNAME");
  EXPECT_EQ(without, 2);
}

}  // namespace
}  // namespace samebits
