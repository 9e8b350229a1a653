#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/run/progress.h"

// Who moved a golden: what it was made with, put back part by part.
namespace samebits {

struct WhyOptions {
  std::filesystem::path golden;     // golden/CASE/NAME.json
  std::filesystem::path case_file;  // the case as it is today
  int64_t steps = 0;                // at most so many; 0: as many as golden and case have
  std::filesystem::path work;       // a folder for what is run, written over
};

// Something that may decide an arm's bits, then and now.
struct GoldenPart {
  enum class Answer {
    kSame,
    kMoved,     // with it put back, and nothing else, the bits are the golden's
    kTogether,  // with it and the others of this answer put back, they are
    kDidNot,    // put back, it does not give the golden's bits
    kUntried,   // it is another one, and cannot be put back here
  };
  std::string name;  // "workload.optimizer.lr", "model.safetensors", "kernels", "LibTorch"
  std::string then;  // "" where the golden does not say
  std::string now;
  Answer answer = Answer::kSame;
};

struct WhyGolden {
  std::string arm;
  std::string moved;  // where the arm leaves its golden; "" where it gives the golden's bits
  std::vector<GoldenPart> parts;
  std::string bisection;  // the command that asks git for the commit; "" where that is the same

  std::string text() const;  // for a person, many lines
};

// Runs the golden's arm as it is today. Where that gives other bits, it runs again with each setting
// that is another one, each file of the model that is (as git has it in the golden's commit), and
// each instruction set of this processor, one at a time; and where none of them is it alone, with
// all settings and files of then. Versions of samebits, LibTorch and the compiler can only be told.
// Throws InputError for a golden and a case that are none or do not belong together, and as a run
// does.
WhyGolden why_golden(const WhyOptions& options, Progress& progress);

}  // namespace samebits
