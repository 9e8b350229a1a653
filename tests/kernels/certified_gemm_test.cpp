// Products that cuBLASLt serves on a card: the bits are the CPU's, and a file saves the search but
// not the proof.

#include <gmock/gmock.h>

#include <array>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "harness/kernels/cuda/gemm/certificate_file.h"
#include "harness/kernels/device.h"
#include "harness/kernels/functional.h"
#include "tests/kernels/tensors.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using testing::random_tensor;
using testing::same_bits;

class CertifiedGemm : public testing::Scratch {
 protected:
  void SetUp() override {
    Scratch::SetUp();
    if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
    file_ = folder_ / "certificates.json";
    // A product at which the library is faster than our own kernel on this card; the last one where
    // there is none.
    for (const auto& [m, n, k] : std::vector<std::array<int64_t, 3>>{{2048, 1024, 3072},
                                                                     {2000, 3072, 1024},
                                                                     {2048, 2048, 1024},
                                                                     {4096, 4096, 512},
                                                                     {1000, 2048, 2048},
                                                                     {600, 4096, 1024}}) {
      x_ = random_tensor({m, k}, at::kBFloat16, 1);
      weight_ = random_tensor({n, k}, at::kBFloat16, 2);
      product();
      if (read_certificates(file_).begin()->second.algorithm) break;
      std::filesystem::remove(file_);
    }
    std::filesystem::remove(file_);
  }
  void TearDown() override {
    use_certificates("");
    Scratch::TearDown();
  }

  // On the card, after `file_` was read again.
  at::Tensor product() const {
    use_certificates(file_);
    return ops::linear(x_.to(at::kCUDA), weight_.to(at::kCUDA), 0, 0, at::kFloat).cpu();
  }

  // Whether a product is served by what the file remembers: a search would write it again.
  bool is_remembered() const {
    const Certificates before = read_certificates(file_);
    use_certificates(file_);
    std::filesystem::remove(file_);
    ops::linear(x_.to(at::kCUDA), weight_.to(at::kCUDA), 0, 0, at::kFloat);
    const bool is_written = std::filesystem::exists(file_);
    if (!is_written) write(file_, text_from_certificates(before));
    return !is_written;
  }

  void change(const std::function<void(Certificate&)>& f) const {
    Certificates all = read_certificates(file_);
    for (auto& [key, certificate] : all) f(certificate);
    write(file_, text_from_certificates(all));
  }

  std::string file_;
  at::Tensor x_;
  at::Tensor weight_;
};

TEST_F(CertifiedGemm, WritesWhatItCertifiedAndGivesTheCpusBits) {
  EXPECT_TRUE(same_bits(product(), ops::linear(x_, weight_, 0, 0, at::kFloat)));
  const Certificates all = read_certificates(file_);
  ASSERT_EQ(all.size(), 1U);
  const auto& [key, certificate] = *all.begin();
  EXPECT_EQ(key.capability, "9.0");
  EXPECT_GE(key.cublaslt, 130000);
  EXPECT_EQ(key.product.m, x_.size(0));
  EXPECT_TRUE(certificate.algorithm) << "no algorithm was built, certified and faster than ours";
}

TEST_F(CertifiedGemm, AProcessThatReadsTheFileDoesNotSearchAgain) {
  const at::Tensor first = product();
  EXPECT_TRUE(is_remembered());
  EXPECT_TRUE(same_bits(product(), first));
}

TEST_F(CertifiedGemm, ARememberedAlgorithmIsProvedAgain) {
  const at::Tensor first = product();
  const Certificates honest = read_certificates(file_);
  change([](Certificate& certificate) { certificate.digest.low ^= 1; });
  EXPECT_FALSE(is_remembered());
  ASSERT_EQ(read_certificates(file_).size(), 1U);
  EXPECT_EQ(read_certificates(file_).begin()->second.digest, honest.begin()->second.digest);
  change([](Certificate& certificate) {
    if (certificate.algorithm) certificate.algorithm->id = 9999;  // the library knows no such one
  });
  EXPECT_FALSE(is_remembered());
  EXPECT_TRUE(same_bits(product(), first));
}

TEST_F(CertifiedGemm, OtherCardsAndLibrariesAreKeptAndNotUsed) {
  product();
  Certificates others;
  for (const auto& [key, certificate] : read_certificates(file_)) {
    CertificateKey other = key;
    other.card += " of another kind";
    others.emplace(other, certificate);
    other = key;
    other.cublaslt += 1;
    others.emplace(other, certificate);
  }
  write(file_, text_from_certificates(others));
  product();
  const Certificates all = read_certificates(file_);
  EXPECT_EQ(all.size(), others.size() + 1);
  for (const auto& [key, certificate] : others) EXPECT_EQ(all.at(key), certificate);
}

}  // namespace
}  // namespace samebits
