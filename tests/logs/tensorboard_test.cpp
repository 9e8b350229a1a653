#include <gmock/gmock.h>

#include <cmath>

#include "harness/logs/crc32c.h"
#include "tests/logs/event_file.h"
#include "tests/logs/logs.h"

namespace samebits {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using testing::event;
using testing::field;
using testing::file_version;
using ::testing::HasSubstr;
using testing::number_field;
using testing::precision_of;
using testing::scalar_event;
using testing::tensor_event;
using testing::value_at;

// The check values of RFC 3720, appendix B.4.
TEST(Crc32c, IsCastagnolis) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aa);
}

TEST(Tensorboard, ReadsScalarsToTheBit) {
  const float loss = 7.604050636291504f;
  const Log log =
      testing::read(file_version() + scalar_event(0, "loss/mean", loss) +
                        tensor_event(0, "lr", 1e-4f) + scalar_event(1, "loss/mean", NAN),
                    {});
  EXPECT_EQ(log.source.format, "tensorboard");
  EXPECT_EQ(log.stream.observations.size(), 3);
  EXPECT_EQ(testing::at(log, 0, "loss/mean"), observe_float32(0, "log", 0, "loss/mean", loss));
  EXPECT_EQ(value_at(log, 0, "lr"), "1e-04");
  EXPECT_EQ(value_at(log, 1, "loss/mean"), "nan");
  EXPECT_EQ(precision_of(log, "loss/mean"), "to the bit of float32");
}

TEST(Tensorboard, SaysWhatIsNoScalar) {
  const std::string image = field(1, "picture") + field(4, "bytes");
  const std::string vector =
      field(1, "vector") + field(8, number_field(1, 1) + field(2, field(2, number_field(1, 2))) +
                                        field(4, std::string(8, '\0')));
  const Log log = testing::read(scalar_event(3, "a", 1) + event(3, image) + event(3, vector), {});
  EXPECT_THAT(log.source.unread, ElementsAre("picture", "vector"));
  EXPECT_EQ(log.stream.observations.size(), 1);
}

TEST(Tensorboard, EveryFlippedBitIsSeen) {
  const std::string good = scalar_event(1, "a", 1) + scalar_event(2, "a", 2);
  LogSettings settings;
  settings.format = "tensorboard";
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string broken = good;
    broken[bit / 8] = static_cast<char>(broken[bit / 8] ^ 1 << bit % 8);
    EXPECT_THAT(error_of(broken, settings), HasSubstr("log: byte ")) << bit;
  }
  EXPECT_EQ(error_of(good, settings), "");
}

TEST(Tensorboard, EveryCutIsSeen) {
  const std::string one = scalar_event(1, "a", 1);
  const std::string good = one + scalar_event(2, "a", 2);
  LogSettings settings;
  settings.format = "tensorboard";
  for (size_t size = 1; size < good.size(); ++size) {
    const std::string error = error_of(good.substr(0, size), settings);
    if (size == one.size()) {
      EXPECT_EQ(error, "");  // whole records are no cut
    } else {
      EXPECT_THAT(error, HasSubstr("cut off?")) << size;
    }
  }
}

TEST(Tensorboard, StepsGoOnInEachTag) {
  const std::string begin = scalar_event(1, "a", 1) + scalar_event(2, "a", 2);
  EXPECT_EQ(testing::read(begin + scalar_event(1, "b", 1), {}).stream.observations.size(), 3);
  EXPECT_THAT(error_of(begin + scalar_event(1, "a", 5), {}), HasSubstr("steps that go on"));
  EXPECT_THAT(error_of(scalar_event(~0ULL, "a", 1), {}), HasSubstr("step -1"));
}

TEST(Tensorboard, TwoSummariesOfAnEventAreBothRead) {
  const auto summary = [](const std::string& tag, float value) {
    return field(5, field(1, field(1, tag) + testing::float_field(2, value)));
  };
  const Log log =
      testing::read(testing::record(summary("a", 1) + number_field(2, 4) + summary("b", 2)), {});
  EXPECT_EQ(value_at(log, 4, "a"), "1");
  EXPECT_EQ(value_at(log, 4, "b"), "2");
}

TEST(Tensorboard, AFieldOfAnotherKindIsRefused) {
  const std::string good = scalar_event(1, "a", 1);
  const auto error = [&](const std::string& record) { return error_of(good + record, {}); };
  EXPECT_THAT(error(event(2, field(1, "a") + field(2, "text"))),
              HasSubstr("found field 2 of kind 2, expected 5"));
  EXPECT_THAT(error(event(2, field(1, "a") + number_field(2, 3))), HasSubstr("field 2 of kind 0"));
  EXPECT_THAT(error(event(2, number_field(1, 3))), HasSubstr("field 1 of kind 0, expected 2"));
  EXPECT_THAT(error(testing::record(field(2, "x"))), HasSubstr("field 2 of kind 2, expected 0"));
  EXPECT_THAT(error(testing::record(number_field(5, 1))), HasSubstr("field 5 of kind 0"));
}

TEST(Tensorboard, AMessageThatIsBrokenUnderAGoodSumHasItsByte) {
  LogSettings settings;
  settings.format = "tensorboard";
  const std::string good = scalar_event(1, "a", 1);
  EXPECT_THAT(error_of(good + testing::record(testing::varint(5 << 3 | 2) + "\x7f"), settings),
              HasSubstr("the rest of a field"));
  EXPECT_THAT(error_of(good + testing::record(std::string(1, 3)), settings),
              HasSubstr("a field of kind 3"));
  EXPECT_THAT(error_of(good + testing::record("\x10" + std::string(10, '\xff')), settings),
              HasSubstr("a varint"));
}

}  // namespace
}  // namespace samebits
