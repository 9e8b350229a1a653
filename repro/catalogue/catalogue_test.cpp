// Every repro: the buggy side fails as described, the fixed side passes, a detector that is not
// told which is which finds the one and is silent about the other.

#include "repro/catalogue/catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/detect/detectors.h"
#include "harness/kernels/device.h"
#include "tests/support/source_path.h"

namespace samebits {
namespace {

using testing::HasSubstr;

class CatalogueTest : public testing::TestWithParam<Repro> {};

TEST_P(CatalogueTest, TheBuggySideFailsAsDescribed) {
  const Outcome outcome = GetParam().run(GetParam().subject(Side::kBuggy));
  EXPECT_TRUE(outcome.went_wrong);
  EXPECT_THAT(outcome.evidence, HasSubstr(GetParam().symptom));
}

TEST_P(CatalogueTest, ItsOtherFailuresAreAsDescribedAndFound) {
  for (const Failure& failure : GetParam().also) {
    const Outcome outcome = GetParam().run_of(failure, failure.subject());
    EXPECT_TRUE(outcome.went_wrong) << failure.what;
    EXPECT_THAT(outcome.evidence, HasSubstr(failure.symptom)) << failure.what;
    EXPECT_TRUE(std::any_of(detectors().begin(), detectors().end(), [&](const Detector& detector) {
      return !detector.find(failure.subject()).empty();
    })) << failure.what;
  }
}

TEST_P(CatalogueTest, TheFixedSidePasses) {
  const Outcome outcome = GetParam().run(GetParam().subject(Side::kFixed));
  EXPECT_FALSE(outcome.went_wrong) << outcome.evidence;
}

TEST_P(CatalogueTest, WhatElsePassesIsFoundByWhomItSays) {
  for (const Passing& passing : GetParam().also_passes) {
    const Outcome outcome = GetParam().run(passing.subject());
    EXPECT_FALSE(outcome.went_wrong) << passing.what << ": " << outcome.evidence;
    std::string found_by;
    for (const Detector& detector : detectors()) {
      if (detector.find(passing.subject()).empty()) continue;
      found_by += (found_by.empty() ? "" : ", ") + detector.number;
    }
    EXPECT_EQ(found_by, passing.found_by) << passing.what;
  }
}

TEST_P(CatalogueTest, ADetectorFindsTheBuggySideAndNoneCriesAtTheFixedOne) {
  std::vector<std::string> found_by;
  for (const Detector& detector : detectors()) {
    if (!detector.find(GetParam().subject(Side::kBuggy)).empty()) found_by.push_back(detector.name);
    EXPECT_THAT(detector.find(GetParam().subject(Side::kFixed)), testing::IsEmpty())
        << detector.name;
  }
  EXPECT_FALSE(found_by.empty());
}

TEST_P(CatalogueTest, OnACardBothSidesAndTheDetectorsDoAsOnTheCpu) {
  if (!GetParam().on_card) GTEST_SKIP() << "a card says the same of it";
  if (const std::string reason = why_no_cuda(); !reason.empty()) GTEST_SKIP() << reason;
  const OnCard& card = *GetParam().on_card;
  const Outcome buggy = card.run(card.subject(Side::kBuggy));
  EXPECT_TRUE(buggy.went_wrong);
  EXPECT_THAT(buggy.evidence, HasSubstr(card.symptom));
  const Outcome fixed = card.run(card.subject(Side::kFixed));
  EXPECT_FALSE(fixed.went_wrong) << fixed.evidence;
  for (const Detector& detector : detectors()) {
    EXPECT_EQ(detector.find(card.subject(Side::kBuggy)).empty(),
              detector.find(GetParam().subject(Side::kBuggy)).empty())
        << detector.name;
    EXPECT_THAT(detector.find(card.subject(Side::kFixed)), testing::IsEmpty()) << detector.name;
  }
}

TEST_P(CatalogueTest, ItsFolderHasWhatAPersonReads) {
  const std::filesystem::path folder =
      std::filesystem::path(source_path("repro")) / GetParam().name;
  for (const char* file : {"README.md", "issue.md"}) {
    EXPECT_TRUE(std::filesystem::exists(folder / file)) << folder / file;
  }
  EXPECT_FALSE(GetParam().links.empty());
}

// What its script needs and whose fault the bug is, or why it has no script.
TEST_P(CatalogueTest, ItHasAScriptForStockTorchOrSaysWhyNot) {
  const std::filesystem::path folder =
      std::filesystem::path(source_path("repro")) / GetParam().name;
  const std::string readme = read_text_file((folder / "README.md").string());
  const bool has_script = std::filesystem::exists(folder / "upstream.py");
  EXPECT_THAT(readme, HasSubstr(has_script ? "**Script for stock torch.**"
                                           : "**No script for stock torch.**"));
}

INSTANTIATE_TEST_SUITE_P(Repros, CatalogueTest, testing::ValuesIn(catalogue()),
                         [](const auto& info) { return info.param.name; });

TEST(Catalogue, EveryFolderWithAReproIsInIt) {
  std::vector<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(source_path("repro"))) {
    if (std::filesystem::exists(entry.path() / "repro.cpp")) {
      folders.push_back(entry.path().filename().string());
    }
  }
  std::sort(folders.begin(), folders.end());
  std::vector<std::string> names;
  for (const Repro& repro : catalogue()) names.push_back(repro.name);
  EXPECT_EQ(names, folders);
}

TEST(Catalogue, AnUnknownNameOffersTheNearest) {
  try {
    find_repro("prim_to_local_symbolic_cell");
    FAIL() << "no error";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean \"prim_to_local_symbolic_ceil\"?"));
  }
}

}  // namespace
}  // namespace samebits
