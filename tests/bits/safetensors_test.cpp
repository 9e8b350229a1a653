#include "harness/bits/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "tests/base/message_of.h"
#include "tests/base/temporary_folder.h"

namespace samebits {
namespace {

using testing::HasSubstr;

std::string file_of(const std::string& header, const std::string& data, uint64_t header_bytes) {
  std::string text(8, '\0');
  for (int i = 0; i < 8; ++i) text[i] = static_cast<char>(header_bytes >> (8 * i));
  return text + header + data;
}
std::string file_of(const std::string& header, const std::string& data) {
  return file_of(header, data, header.size());
}

std::string refusal_of(const std::string& text) {
  return message_of<InputError>(
      [&] { SafetensorsFile(std::as_bytes(std::span(text)), "model.safetensors"); });
}

const std::string kData = "12345678";  // 8 bytes

TEST(Safetensors, ReadsViewsInTheOrderOfTheData) {
  const std::string text =
      file_of(R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},)"
              R"("a":{"dtype":"BF16","shape":[2,1],"data_offsets":[0,4]},)"
              R"("empty":{"dtype":"I64","shape":[3,0,9223372036854775807],"data_offsets":[8,8]},)"
              R"("__metadata__":{"format":"pt"}}   )",
              kData);
  const SafetensorsFile file(std::as_bytes(std::span(text)), "model.safetensors");
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.tensors()[1].name, "b");
  EXPECT_EQ(file.tensors()[2].name, "empty");
  const TensorView& a = file.at("a");
  EXPECT_EQ(a.dtype, Dtype::bfloat16);
  EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(std::memcmp(a.data.data(), "1234", 4), 0);
  EXPECT_EQ(std::memcmp(file.at("b").data.data(), "5678", 4), 0);
  EXPECT_TRUE(file.at("empty").data.empty());
  EXPECT_EQ(file.find("c"), nullptr);
  EXPECT_THAT(file.metadata(), testing::ElementsAre(testing::Pair("format", "pt")));
}

TEST(Safetensors, AFileMayHoldNoTensor) {
  const std::string text = file_of("{}", "");
  EXPECT_TRUE(SafetensorsFile(std::as_bytes(std::span(text)), "x").tensors().empty());
}

TEST(Safetensors, NamesTheNearestTensor) {
  const std::string text =
      file_of(R"({"model.norm.weight":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})", kData);
  const SafetensorsFile file(std::as_bytes(std::span(text)), "model.safetensors");
  EXPECT_EQ(message_of<InputError>([&] { file.at("model.norm.weigth"); }),
            "model.safetensors: found no tensor \"model.norm.weigth\", expected it to be there "
            "(nearest: \"model.norm.weight\")");
}

TEST(Safetensors, RefusesBrokenLengths) {
  EXPECT_EQ(refusal_of(""),
            "model.safetensors: found 0 bytes, expected at least 8 for the header's length");
  EXPECT_EQ(refusal_of("1234567"),
            "model.safetensors: found 7 bytes, expected at least 8 for the header's length");
  EXPECT_EQ(refusal_of(file_of("{}", "", 3)),
            "model.safetensors: byte 0: found a header of 3 bytes, expected at most 2");
  EXPECT_EQ(refusal_of(file_of("{}", "", ~uint64_t{0})),
            "model.safetensors: byte 0: found a header of 18446744073709551615 bytes, "
            "expected at most 2");
  EXPECT_THAT(refusal_of(file_of("", kData)), HasSubstr("byte 8: found \"\", expected \"{\""));
  EXPECT_THAT(refusal_of(file_of("[1]", "")), HasSubstr("byte 8: found \"[\", expected \"{\""));
}

TEST(Safetensors, RefusesBrokenHeaders) {
  EXPECT_THAT(refusal_of(file_of(R"({"a":)", "")), HasSubstr("valid JSON"));
  EXPECT_THAT(refusal_of(file_of("{}x", "")), HasSubstr("valid JSON"));
  EXPECT_THAT(refusal_of(file_of("{\"\xff\":1}", "")), HasSubstr("found bytes that are no UTF-8"));
  EXPECT_THAT(refusal_of(file_of(R"({"a":{},"a":{}})", "")), HasSubstr("a second time"));
  EXPECT_THAT(refusal_of(file_of(R"({"__metadata__":{"k":1}})", "")),
              HasSubstr("__metadata__.k: found 1, expected a string"));
  EXPECT_THAT(refusal_of(file_of(R"({"__metadata__":[]})", "")),
              HasSubstr("__metadata__: found [], expected an object"));
}

struct BadEntry {
  const char* entry;
  const char* message;
};

TEST(Safetensors, RefusesBrokenEntries) {
  const BadEntry cases[] = {
      {R"({"dtype":"F31","shape":[2],"data_offsets":[0,8]})",
       "w.dtype: found \"F31\", expected BOOL, U8, I8, I16, I32, I64, F16, BF16, F32 or F64"},
      {R"({"dtype":"F32","shape":[2]})", "found no key \"data_offsets\""},
      {R"({"shape":[2],"data_offsets":[0,8]})", "found no key \"dtype\""},
      {R"({"dtype":"F32","data_offsets":[0,8]})", "found no key \"shape\""},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"stride":1})",
       "found unknown key \"stride\""},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0]})", "expected two offsets"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,16]})", "expected two offsets"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})",
       "w.data_offsets: found [8,0], expected an end that is not before the begin"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})", "found -8, expected an integer"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,8.0]})", "found 8.0, expected an integer"},
      {R"({"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]})",
       "found 18446744073709551615, expected an integer"},
      {R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})",
       "w.data_offsets: found 8 bytes, expected 12 bytes for its dtype and shape"},
      {R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})", "w.shape.0: found -2"},
      {R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})", "w.shape: found 2, expected an array"},
      {R"({"dtype":"U8","shape":[4294967296,4294967296,2],"data_offsets":[0,0]})",
       "found sizes whose product overflows 64 bits"},
      {R"({"dtype":"F32","shape":[3],"data_offsets":[0,12]})",
       "w.data_offsets: found end 12, expected at most 8, the data's bytes"},
      {R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})",
       "w.data_offsets: found a gap: begin 4, expected begin 0"},
      {R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})",
       "found 4 bytes that belong to no tensor, expected the end of the file"},
      {"[]", "w: found [], expected an object"},
  };
  for (const BadEntry& bad : cases) {
    const std::string refusal =
        refusal_of(file_of("{\"w\":" + std::string(bad.entry) + "}", kData));
    EXPECT_THAT(refusal, HasSubstr("model.safetensors: ")) << bad.entry;
    EXPECT_THAT(refusal, HasSubstr(bad.message)) << bad.entry;
  }
  // The twin: the entry that all of these are broken copies of is accepted.
  const std::string good =
      file_of(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", kData);
  EXPECT_NO_THROW(SafetensorsFile(std::as_bytes(std::span(good)), "model.safetensors"));
}

TEST(Safetensors, RefusesOverlapsAndGapsBetweenTensors) {
  const auto two = [](int begin, int end) {
    return file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                   R"("b":{"dtype":"U8","shape":[)" +
                       std::to_string(end - begin) + R"(],"data_offsets":[)" +
                       std::to_string(begin) + "," + std::to_string(end) + "]}}",
                   kData);
  };
  EXPECT_THAT(refusal_of(two(3, 8)), HasSubstr("b.data_offsets: found an overlap: begin 3, "
                                               "expected begin 4"));
  EXPECT_THAT(refusal_of(two(5, 8)), HasSubstr("b.data_offsets: found a gap: begin 5, "
                                               "expected begin 4"));
  EXPECT_THAT(refusal_of(two(0, 8)), HasSubstr("an overlap"));
  const std::string good = two(4, 8);
  EXPECT_NO_THROW(SafetensorsFile(std::as_bytes(std::span(good)), "x"));
}

TEST(Safetensors, TruncationAtEveryByteIsRefused) {
  const std::string good =
      file_of(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", kData);
  for (size_t size = 0; size < good.size(); ++size) refusal_of(good.substr(0, size));
}

std::vector<TensorView> some_tensors(const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {{"z", Dtype::float32, {2}, bytes.subspan(0, 8)},
          {"odd", Dtype::uint8, {3}, bytes.subspan(8, 3)},
          {"half", Dtype::bfloat16, {1, 1}, bytes.subspan(4, 2)},
          {"a", Dtype::float32, {}, bytes.subspan(12, 4)},
          {"nothing", Dtype::float64, {0}, {}}};
}

TEST(Safetensors, WritesWhatItReads) {
  const TemporaryFolder folder;
  const std::vector<float> values{1.0f, -2.5f, 3e-5f, 4e20f};
  const std::vector<TensorView> tensors = some_tensors(values);
  write_safetensors(folder / "t.safetensors", tensors, {{"by", "a test"}});
  const SafetensorsFile file(folder / "t.safetensors");
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const TensorView& expected : tensors) {
    const TensorView& found = file.at(expected.name);
    EXPECT_EQ(found.dtype, expected.dtype);
    EXPECT_EQ(found.shape, expected.shape);
    EXPECT_TRUE(std::equal(found.data.begin(), found.data.end(), expected.data.begin(),
                           expected.data.end()));
    // The mapping is page-aligned, so every view is aligned to its element.
    EXPECT_EQ(reinterpret_cast<uintptr_t>(found.data.data()) % dtype_size(found.dtype), 0u);
  }
  EXPECT_EQ(file.metadata().at("by"), "a test");
}

TEST(Safetensors, TheOrderOfTheArgumentsDoesNotMatter) {
  const TemporaryFolder folder;
  const std::vector<float> values{1.0f, -2.5f, 3e-5f, 4e20f};
  std::vector<TensorView> tensors = some_tensors(values);
  write_safetensors(folder / "a", tensors);
  std::rotate(tensors.begin(), tensors.begin() + 2, tensors.end());
  write_safetensors(folder / "b", tensors);
  EXPECT_EQ(read_text_file(folder / "a"), read_text_file(folder / "b"));
  tensors[0].name += "x";
  write_safetensors(folder / "b", tensors);
  EXPECT_NE(read_text_file(folder / "a"), read_text_file(folder / "b"));
}

TEST(Safetensors, RefusesToWriteNonsense) {
  const TemporaryFolder folder;
  const std::vector<float> values{1.0f, -2.5f, 3e-5f, 4e20f};
  std::vector<TensorView> tensors = some_tensors(values);
  tensors[1].name = "z";
  EXPECT_THROW(write_safetensors(folder / "t", tensors), std::invalid_argument);
  tensors = some_tensors(values);
  tensors[0].shape = {3};
  EXPECT_THROW(write_safetensors(folder / "t", tensors), std::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(folder / "t"));
}

TEST(Safetensors, NamesAMissingFile) {
  EXPECT_EQ(message_of<InputError>([] { SafetensorsFile("/nowhere/model.safetensors"); }),
            "/nowhere/model.safetensors: cannot be opened: No such file or directory");
}

}  // namespace
}  // namespace samebits
