// Model folders in some 170 forms, each read as the pinned Transformers reads it, or refused.
// tests/oracle/folders/README.md says how they are made and what is recorded.

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/case/case.h"
#include "harness/model/attention.h"
#include "harness/tokenizer/tokenizer.h"
#include "harness/workload/grpo.h"
#include "harness/workload/workload.h"
#include "tests/base/message_of.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Ids = std::vector<int64_t>;

class FolderForms : public ::testing::Test {
 protected:
  static std::filesystem::path folder(const std::string& form) {
    return std::filesystem::path(SAMEBITS_FORMS) / form;
  }
  static CaseArm arm_of(const std::string& form) {
    CaseArm arm;
    arm.name = form;
    arm.model = folder(form);
    arm.numerics.dtype = Dtype::float32;
    return arm;
  }

  // Everything that reads a folder.
  struct Read {
    explicit Read(const std::string& form)
        : arm(arm_of(form)),
          model(make_model(arm, arm.generator, {})),
          tokenizer(Tokenizer::from_folder(arm.model)) {}
    CaseArm arm;
    std::unique_ptr<Decoder> model;
    Tokenizer tokenizer;
  };

  std::vector<double> logprobs_of(const Decoder& model) const {
    const c10::NoGradGuard no_grad;
    std::vector<double> logprobs;
    for (const Json& sequence : reference_["sequences"]) {
      const Ids ids = sequence.get<Ids>();
      const auto length = static_cast<int64_t>(ids.size());
      const at::Tensor tokens = at::tensor(ids).view({1, length});
      const ContiguousAttention attention(
          model.numerics(), at::tensor({int64_t{0}, length}, at::kInt), model.attention_scale());
      const at::Tensor logits =
          model.forward(tokens, at::arange(length).view({1, length}), attention);
      const at::Tensor taken = model.numerics().log_softmax_gather(
          logits.narrow(1, 0, length - 1).contiguous(),
          tokens.narrow(1, 1, length - 1).contiguous(), model.config().vocab_size);
      for (int64_t t = 0; t + 1 < length; ++t) logprobs.push_back(taken.view(-1)[t].item<float>());
    }
    return logprobs;
  }

  Ids greedy_of(const Read& read) const {
    const Ids prompt = reference_["prompt"].get<Ids>();
    const int64_t more = reference_["new_tokens"].get<int64_t>();
    const auto engine = make_engine(read.arm, *read.model, /*sequences=*/1,
                                    static_cast<int64_t>(prompt.size()) + more);
    const Sampling greedy{.max_new_tokens = more, .temperature = 0.0};
    return engine->generate({{/*id=*/0, prompt, {}}}, greedy).front().tokens;
  }

  // The largest distance of samebits's logprobs from the recorded ones, as a part of the bound:
  // both are as far from the exact value as Transformers' own largest error, or nearer.
  double distance_in_bounds(const std::vector<double>& found, const Json& recorded) const {
    const auto expected = recorded["logprobs"].get<std::vector<double>>();
    EXPECT_EQ(found.size(), expected.size());
    double largest = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      const double gap = std::abs(found[i] - expected[i]);
      largest = gap <= largest ? largest : gap;  // keeps a NaN
    }
    return largest / (2 * recorded["distance"].get<double>());
  }

  void expect_refused(const std::string& form, const std::string& said) const {
    const std::string line = message_of<InputError>([&] { Read{form}; });
    EXPECT_THAT(line, AllOf(StartsWith(folder(form).string()), HasSubstr(said)));
  }

  void expect_equal(const std::string& form, const std::string& said) const {
    const Json& recorded = reference_["forms"][form];
    ASSERT_FALSE(recorded.contains("refused")) << recorded["refused"];
    ::testing::internal::CaptureStderr();
    const Read read(form);
    const std::string stderr_text = ::testing::internal::GetCapturedStderr();
    EXPECT_THAT(stderr_text, HasSubstr(said));
    if (said.empty()) {
      EXPECT_EQ(stderr_text, "");
    }

    const Json& model = reference_["models"].at(recorded["model"].get<size_t>());
    EXPECT_LE(distance_in_bounds(logprobs_of(*read.model), model), 1.0);
    Ids greedy = model["greedy"].get<Ids>();
    EXPECT_EQ(greedy_of(read), greedy);
    const Json& ids = reference_["ids"].at(recorded["ids"].get<size_t>());
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto text = reference_["strings"].at(i).get<std::string>();
      EXPECT_EQ(read.tokenizer.encode(text), ids[i].get<Ids>()) << text;
    }
  }

  const Json reference_ = read_json_file(source_path("tests/oracle/folders/reference.json"));
  const Json forms_ = read_json_file(folder("forms.json"));
};

TEST_F(FolderForms, AreReadAsTransformersReadsThemOrRefused) {
  ASSERT_GE(forms_.size(), 160u);
  ASSERT_EQ(forms_.size(), reference_["forms"].size());
  for (const auto& [form, says] : forms_.items()) {
    SCOPED_TRACE(form);
    const auto refused = says["refused"].get<std::string>();
    if (refused.empty()) {
      expect_equal(form, says["said"].get<std::string>());
    } else {
      expect_refused(form, refused);
    }
  }
}

// The negative control: what one form is read as is not what another one means.
TEST_F(FolderForms, AreToldApart) {
  const auto model_of = [&](const std::string& form) {
    return reference_["models"].at(reference_["forms"][form]["model"].get<size_t>());
  };
  const std::vector<double> plain = logprobs_of(*Read("plain").model);
  EXPECT_LE(distance_in_bounds(plain, model_of("plain")), 1.0);
  for (const char* other : {"theta-other", "yarn", "rope-linear", "eps-large", "tied", "bfloat16",
                            "half-precision", "bidirectional", "activation-gelu"}) {
    EXPECT_GT(distance_in_bounds(plain, model_of(other)), 1.0) << other;
  }
  EXPECT_NE(model_of("end-in-config")["greedy"], model_of("plain")["greedy"]);
}

}  // namespace
}  // namespace samebits
