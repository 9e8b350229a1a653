#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/case/case.h"
#include "harness/workload/grpo.h"
#include "tests/base/message_of.h"
#include "tests/base/temporary_folder.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using ::testing::HasSubstr;

class Deaf : public Observer {
 public:
  void begin_phase(const std::string&) override {}
  void observe(const std::string&, const at::Tensor&) override {}
};

// One GRPO step of the tiny model with a padding token.
void train_with_padding(int64_t padding_id) {
  const TemporaryFolder folder;
  std::filesystem::copy(source_path("cases/models/tiny"), folder.path());
  Json config = read_json_file(folder / "config.json");
  config["pad_token_id"] = padding_id;
  write_text_file(folder / "config.json", config.dump());
  CaseArm arm;
  arm.name = "padded";
  arm.model = folder.path();
  arm.workload.prompts = {{"What is 2 plus 2?", "4"}};
  arm.workload.group = 1;
  arm.workload.max_new_tokens = 2;
  Deaf observer;
  Grpo(arm).step(0, observer);
}

TEST(Padding, ATrainedTextMustNotHoldThePaddingToken) {
  const Tokenizer tokenizer = Tokenizer::from_folder(source_path("cases/models/tiny"));
  const int64_t first = tokenizer.encode("What is 2 plus 2?").front();
  EXPECT_THAT(message_of<InputError>([&] { train_with_padding(first); }),
              HasSubstr("config.json: pad_token_id: found " + std::to_string(first)));
  const int64_t unused = tokenizer.encode("<|im_start|>").front();
  EXPECT_NO_THROW(train_with_padding(unused));
}

}  // namespace
}  // namespace samebits
