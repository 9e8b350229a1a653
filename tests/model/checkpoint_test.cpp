#include "harness/model/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/bits/safetensors.h"
#include "tests/base/message_of.h"
#include "tests/base/temporary_folder.h"
#include "tests/support/random_model.h"

namespace samebits {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::random_weights;
using testing::same_bits;
using testing::small_config;

class CheckpointTest : public ::testing::Test {
 protected:
  void write(const std::string& file, const Weights& weights) {
    std::vector<TensorView> views;
    for (const auto& [name, weight] : weights) {
      views.push_back({name,
                       weight.scalar_type() == at::kLong ? Dtype::int64 : Dtype::bfloat16,
                       weight.sizes().vec(),
                       {static_cast<const std::byte*>(weight.const_data_ptr()), weight.nbytes()}});
    }
    write_safetensors(folder_ / file, views);
  }
  std::string refusal() {
    return message_of<InputError>([&] { load_checkpoint(folder_.path(), config_); });
  }
  TemporaryFolder folder_;
  DecoderConfig config_ = small_config();
  Weights weights_ = random_weights(config_, 1);
};

TEST_F(CheckpointTest, ReadsWhatWasWritten) {
  write("model.safetensors", weights_);
  const Weights read = load_checkpoint(folder_.path(), config_);
  ASSERT_EQ(read.size(), weights_.size());
  for (const auto& [name, weight] : weights_) EXPECT_TRUE(same_bits(read.at(name), weight)) << name;
}

TEST_F(CheckpointTest, ReadsShardsByTheirIndex) {
  Weights first, second;
  std::string map;
  for (const auto& [name, weight] : weights_) {
    const bool early = first.size() < 5;
    (early ? first : second)[name] = weight;
    map += (map.empty() ? "\"" : ", \"") + name +
           (early ? "\": \"a.safetensors\"" : "\": \"b.safetensors\"");
  }
  write("a.safetensors", first);
  write("b.safetensors", second);
  write_text_file(folder_ / "model.safetensors.index.json", "{\"weight_map\": {" + map + "}}");
  EXPECT_EQ(load_checkpoint(folder_.path(), config_).size(), weights_.size());

  // A weight that two files hold is refused.
  second[first.begin()->first] = first.begin()->second;
  write("b.safetensors", second);
  EXPECT_THAT(refusal(), HasSubstr("each weight once"));
}

TEST_F(CheckpointTest, NamesAMissingExtraOrMisshapenTensor) {
  Weights less = weights_;
  less.erase("model.layers.1.mlp.up_proj.weight");
  write("model.safetensors", less);
  EXPECT_THAT(refusal(), HasSubstr("no tensor model.layers.1.mlp.up_proj.weight"));

  Weights more = weights_;
  more["model.layers.0.self_attn.q_proj.bias"] = at::zeros({4}, at::kBFloat16);
  write("model.safetensors", more);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("q_proj.bias"), HasSubstr("q_proj.weight")));

  Weights other = weights_;
  other["model.norm.weight"] = at::zeros({7}, at::kBFloat16);
  write("model.safetensors", other);
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr("model.norm.weight"), HasSubstr("[7]"), HasSubstr("[32]")));

  other["model.norm.weight"] = at::zeros({32}, at::kLong);
  write("model.safetensors", other);
  EXPECT_THAT(refusal(), HasSubstr("floating-point"));
}

TEST_F(CheckpointTest, ASingleFileComesBeforeAnIndex) {
  write("model.safetensors", weights_);
  write("old.safetensors", random_weights(config_, 2));
  write_text_file(folder_ / "model.safetensors.index.json",
                  R"({"weight_map": {"model.norm.weight": "old.safetensors"}})");
  const Weights read = load_checkpoint(folder_.path(), config_);
  EXPECT_TRUE(same_bits(read.at("model.norm.weight"), weights_.at("model.norm.weight")));
}

TEST_F(CheckpointTest, ATiedModelMayHoldItsEmbeddingTwiceAndNoOtherHead) {
  Weights more = weights_;
  more["lm_head.weight"] = weights_.at("model.embed_tokens.weight").clone();
  write("model.safetensors", more);
  EXPECT_EQ(load_checkpoint(folder_.path(), config_).size(), weights_.size());
  more["lm_head.weight"].view(at::kShort)[3][2] += 1;  // the smallest change
  write("model.safetensors", more);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("lm_head.weight"), HasSubstr("tie_word_embeddings")));
}

TEST_F(CheckpointTest, ReadsTheNamesOfABackboneAlone) {
  Weights bare;
  for (const auto& [name, weight] : weights_)
    bare[name.substr(std::string("model.").size())] = weight;
  write("model.safetensors", bare);
  const Weights read = load_checkpoint(folder_.path(), config_);
  ASSERT_EQ(read.size(), weights_.size());
  for (const auto& [name, weight] : weights_) EXPECT_TRUE(same_bits(read.at(name), weight)) << name;
  bare["model.norm.weight"] = weights_.at("model.norm.weight");
  write("model.safetensors", bare);
  EXPECT_THAT(refusal(), HasSubstr("each weight once"));
}

TEST_F(CheckpointTest, NamesAFileThatIsNotTheFile) {
  write_text_file(folder_ / "model.safetensors",
                  "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
  EXPECT_THAT(refusal(), HasSubstr("a Git LFS pointer"));
  std::filesystem::remove(folder_ / "model.safetensors");
  write_text_file(folder_ / "pytorch_model.bin", "PK");
  EXPECT_THAT(refusal(), HasSubstr("pytorch_model.bin"));
}

TEST_F(CheckpointTest, RefusesAFolderWithoutAFileAndAnIndexThatLeavesTheFolder) {
  EXPECT_THAT(refusal(), HasSubstr("model.safetensors"));
  write_text_file(folder_ / "model.safetensors.index.json",
                  "{\"weight_map\": {\"model.norm.weight\": \"../other.safetensors\"}}");
  EXPECT_THAT(refusal(), HasSubstr("same folder"));
}

}  // namespace
}  // namespace samebits
