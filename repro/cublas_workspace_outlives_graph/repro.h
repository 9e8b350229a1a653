#pragma once

#include "repro/catalogue/catalogue.h"

namespace samebits {

// Whose the scratch memory of a product is.
enum class Scratch {
  kOfTheStream,  // one for all products, which grows, and gives back what it had
  kOfTheCall     // each call's own; that of a captured call is its graph's
};

// pytorch#193402: float32 [s, 32] times a weight [8, 32], whose sum is cut into four parts that
// meet in scratch memory, as cuBLAS cuts a product of few rows and many terms.
Subject split_sum_product(Scratch scratch, c10::Device device = c10::kCPU);

Repro cublas_workspace_outlives_graph();

}  // namespace samebits
