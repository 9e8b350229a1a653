#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>

#include "harness/base/file.h"
#include "harness/bits/digest.h"
#include "harness/logs/npy.h"
#include "tests/logs/logs.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using testing::at;
using testing::error_of;
using ::testing::HasSubstr;
using testing::precision_of;
using testing::value_at;

std::string archive(const std::string& name) {
  return read_text_file(source_path("tests/oracle/npz/") + name);
}

Log npz_of(const std::string& bytes) { return testing::read(bytes, {}, "dump.npz"); }
std::string npz_error(const std::string& bytes) { return error_of(bytes, {}, "dump.npz"); }

std::string with(std::string bytes, size_t at, char byte) {
  bytes.at(at) = byte;
  return bytes;
}

TEST(Npz, ArraysAreTensorsByTheBit) {
  for (const char* name : {"stored.npz", "deflated.npz"}) {
    const Log log = npz_of(archive(name));
    EXPECT_EQ(log.stream.observations.size(), 7) << name;
    const float rows[] = {1, 2, 3, 4, 5, 6};
    const int64_t shape[] = {2, 3};
    const Digest expected = digest_of(Dtype::float32, shape, rows);
    EXPECT_EQ(at(log, 0, "rows")->digest, expected);
    EXPECT_EQ(at(log, 0, "columns")->digest, expected);  // whatever the order in the file
    EXPECT_EQ(value_at(log, 0, "loss"), "0.1");
    const int64_t ids[] = {7, -1};
    const int64_t two[] = {2};
    EXPECT_EQ(at(log, 0, "ids")->digest, digest_of(Dtype::int64, two, ids));
    EXPECT_EQ(at(log, 0, "mask")->dtype, Dtype::bool_);
    EXPECT_EQ(at(log, 0, "half")->dtype, Dtype::float16);
    EXPECT_EQ(at(log, 0, "none")->shape, (std::vector<int64_t>{0, 3}));
    EXPECT_EQ(precision_of(log, "rows"), "to the bit");
    EXPECT_EQ(log.source.format, "npz");
  }
}

TEST(Npz, ACutOrChangedArchiveIsRefusedOrReadsTheSame) {
  for (const char* name : {"stored.npz", "deflated.npz"}) {
    const std::string whole = archive(name);
    const auto observations = npz_of(whole).stream.observations;
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_NE(npz_error(whole.substr(0, size)), "") << size;
    }
    // What no reader looks at, times and versions, may be anything; no value may.
    for (size_t i = 0; i < whole.size(); ++i) {
      const std::string changed = with(whole, i, static_cast<char>(whole[i] ^ 1));
      if (!npz_error(changed).empty()) continue;
      for (const Observation& each : npz_of(changed).stream.observations) {
        const auto same_value = [&](const Observation& other) {
          return other.digest == each.digest;
        };
        EXPECT_TRUE(std::any_of(observations.begin(), observations.end(), same_value)) << i;
      }
    }
  }
}

TEST(Npz, WhatIsNoneOfOursIsRefusedByName) {
  EXPECT_THAT(npz_error(archive("complex.npz")),
              HasSubstr("dump.npz: z.npy: found elements of dtype \"<c16\""));
  EXPECT_THAT(npz_error("PK"), HasSubstr("found no end of a ZIP archive"));
  std::string bytes = archive("stored.npz");
  const size_t data = bytes.find("NUMPY");
  EXPECT_THAT(npz_error(with(bytes, data, 'M')), HasSubstr("found another CRC"));
}

TEST(Npz, WhatTheDirectoryDoesNotCountOrHasTwiceIsRefused) {
  std::string bytes = archive("stored.npz");
  const size_t end = bytes.rfind("PK\5\6");
  const char count = bytes.at(end + 10);
  for (const char less : {0, 1, count - 1}) {
    EXPECT_THAT(npz_error(with(bytes, end + 10, less)),
                HasSubstr("found more than the " + std::to_string(less) + " entries"));
  }
  // In the header of the member and in the directory.
  for (size_t at = bytes.find("half.npy"); at != bytes.npos; at = bytes.find("half.npy", at)) {
    bytes.replace(at, 4, "mask");
  }
  EXPECT_THAT(npz_error(bytes), HasSubstr("mask.npy: found a second member of the name"));
}

std::string npy(const std::string& dict, const std::string& data) {
  std::string header = dict + '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header +
         data;
}

TEST(Npy, HeadersAreReadAsPythonWritesThem) {
  const NpyArray array = read_npy(npy("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 2), }",
                                      std::string("\1\0\2\0\3\0\4\0", 8)),
                                  "a");
  const int16_t expected[] = {1, 3, 2, 4};
  ASSERT_EQ(array.data.size(), sizeof expected);
  EXPECT_EQ(std::memcmp(array.data.data(), expected, sizeof expected), 0);
  EXPECT_EQ(
      read_npy(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (), }", "x"), "a").shape,
      std::vector<int64_t>());
  EXPECT_EQ(
      read_npy(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }", "xyz"), "a").shape,
      std::vector<int64_t>{3});
}

TEST(Npy, BadHeadersAreRefused) {
  const auto error = [](const std::string& bytes) {
    return testing::refusal_of([&] { read_npy(bytes, "a"); });
  };
  const auto of_dict = [&](const std::string& dict, const std::string& data = "") {
    return error(npy(dict, data));
  };
  EXPECT_THAT(error(""), HasSubstr("found no header of .npy"));
  EXPECT_THAT(error(std::string("\x93NUMPY\x01\x00\xff\xff{}", 12)),
              HasSubstr("found a header of 65535 bytes"));
  EXPECT_THAT(error(std::string("\x93NUMPY\x04\x00\x02\x00{}", 12)),
              HasSubstr("found no header of .npy"));
  EXPECT_THAT(of_dict("{}"), HasSubstr("found the header"));
  EXPECT_THAT(of_dict("{'descr': '>f4', 'fortran_order': False, 'shape': (), }"),
              HasSubstr("found elements of dtype \">f4\""));
  EXPECT_THAT(of_dict("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "1234"),
              HasSubstr("found 4 bytes of elements, expected 8"));
  EXPECT_THAT(
      of_dict("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }"),
      HasSubstr("expected sizes below 2^63"));
  EXPECT_THAT(
      of_dict("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8), }"),
      HasSubstr("more than 2^64 bytes"));
}

}  // namespace
}  // namespace samebits
