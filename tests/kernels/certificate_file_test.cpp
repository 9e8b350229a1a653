#include "harness/kernels/cuda/gemm/certificate_file.h"

#include <gmock/gmock.h>

#include <string>

#include "harness/base/error.h"
#include "tests/support/scratch.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;
using testing::message_of;
using ::testing::StartsWith;
using CertificateFile = testing::Scratch;

CertificateKey key(int64_t m, const std::string& card = "NVIDIA H100 80GB HBM3",
                   int64_t cublaslt = 130100) {
  return {card, "9.0", cublaslt, {m, 1024, 2048, {true, 2048}, {false, 1024}, Dtype::bfloat16}};
}

Certificate certificate() {
  return {LtAlgorithm{66, 20, 15, 1, 0, 1, 7, 0, 2}, Digest{0x0123456789abcdef, 42}};
}

Certificates example() {
  return {{key(512), certificate()},
          {key(4096), {std::nullopt, Digest{1, 2}}},
          {key(512, "NVIDIA H200"), certificate()},
          {key(512, "NVIDIA H100 80GB HBM3", 130200), certificate()}};
}

std::string error_of(const std::string& text) {
  return message_of<InputError>([&] { parse_certificates(text, "f.json"); });
}

// The example with the first `from` in it changed to `to`.
std::string example_with(const std::string& from, const std::string& to) {
  std::string text = text_from_certificates(example());
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(ParseCertificates, ReadsBackWhatWasWritten) {
  const std::string text = text_from_certificates(example());
  EXPECT_EQ(parse_certificates(text, "f.json"), example());
  EXPECT_EQ(text_from_certificates(parse_certificates(text, "f.json")), text);
  EXPECT_TRUE(parse_certificates(text_from_certificates({}), "f.json").empty());
}

TEST(ParseCertificates, EveryTruncationIsRefused) {
  const std::string text = text_from_certificates(example());
  for (size_t size = 0; size + 2 < text.size(); ++size) {  // the last byte ends a line
    EXPECT_THAT(error_of(text.substr(0, size)), StartsWith("f.json: line ")) << size;
  }
}

TEST(ParseCertificates, AnotherFormatIsRefused) {
  EXPECT_EQ(error_of(example_with("\"format\": 1", "\"format\": 2")),
            "f.json: format: found 2, expected an integer from 1 to 1");
}

TEST(ParseCertificates, UnknownAndMissingKeysAreRefused) {
  EXPECT_THAT(error_of(example_with("\"tile\"", "\"tiles\"")),
              HasSubstr("certificates.0.algorithm: found unknown key \"tiles\""));
  EXPECT_THAT(error_of(example_with("\"cublaslt\"", "\"cublas\"")),
              HasSubstr("did you mean \"cublaslt\"?"));
  EXPECT_THAT(error_of(example_with("\"m\": 512,", "")),
              HasSubstr("certificates.0.product: found no key \"m\""));
  EXPECT_THAT(error_of("{}"), HasSubstr("no key \"format\""));
}

TEST(ParseCertificates, TheSameProductTwiceIsRefused) {
  EXPECT_NO_THROW(parse_certificates(example_with("\"m\": 4096", "\"m\": 4097"), "f.json"));
  EXPECT_EQ(error_of(example_with("\"m\": 4096", "\"m\": 512")),
            "f.json: certificates.1: found a second certificate of the same card, library and "
            "product, expected one of each");
  EXPECT_THAT(error_of(example_with("\"k\": 2048", "\"k\": 2048, \"k\": 2048")),
              HasSubstr("certificates.0.product.k: found the key a second time"));
}

TEST(ParseCertificates, WhatTheContractDoesNotAllowIsRefused) {
  EXPECT_THAT(error_of(example_with("\"split_k\": 1", "\"split_k\": 4")),
              HasSubstr("algorithm.split_k: found 4, expected an integer from 0 to 1"));
  EXPECT_THAT(error_of(example_with("\"reduction\": 0", "\"reduction\": 1")),
              HasSubstr("algorithm.reduction: found 1"));
  EXPECT_THAT(error_of(example_with("\"bfloat16\"", "\"float16\"")), HasSubstr("product.out"));
  EXPECT_THAT(error_of(example_with("0123456789abcdef", "0123456789ABCDEF")),
              HasSubstr("certificates.0.digest"));
}

TEST_F(CertificateFile, IsEmptyWhereThereIsNone) {
  EXPECT_TRUE(read_certificates(folder_ / "none.json").empty());
}

TEST_F(CertificateFile, AdditionsKeepWhatOthersWrote) {
  const std::string file = folder_ / "certificates.json";
  Certificates expected;
  for (const auto& [each, its] : example()) {
    add_certificate(file, each, its);
    expected.emplace(each, its);
    EXPECT_EQ(read_certificates(file), expected);
  }
  const Certificate newer{std::nullopt, Digest{3, 4}};
  add_certificate(file, key(512), newer);
  expected[key(512)] = newer;
  EXPECT_EQ(read_certificates(file), expected);
}

TEST_F(CertificateFile, ADamagedOneIsRefusedAndKept) {
  const std::string file = folder_ / "certificates.json";
  const std::string damaged = example_with("\"digest\"", "\"digset\"");
  write(file, damaged);
  EXPECT_THAT(message_of<InputError>([&] { read_certificates(file); }), StartsWith(file + ": "));
  EXPECT_THAT(message_of<InputError>([&] { add_certificate(file, key(1), certificate()); }),
              HasSubstr("did you mean \"digest\"?"));
  EXPECT_EQ(read(file), damaged);
}

TEST_F(CertificateFile, AFolderThatIsNotThereIsNamed) {
  const std::string file = folder_ / "none" / "certificates.json";
  EXPECT_THAT(message_of<RunError>([&] { add_certificate(file, key(1), certificate()); }),
              HasSubstr(file));
}

}  // namespace
}  // namespace samebits
