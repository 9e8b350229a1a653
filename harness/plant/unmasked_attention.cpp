#include "harness/plant/unmasked_attention.h"

#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace samebits {
namespace {

float element_at(const void* data, bool is_float, int64_t at) {
  return is_float ? static_cast<const float*>(data)[at]
                  : static_cast<float>(static_cast<const c10::BFloat16*>(data)[at]);
}

}  // namespace

void unmasked_attention(const AttentionOperands& of, void* out) {
  std::vector<float> weights;
  for (int64_t sequence = 0; sequence < of.sequences; ++sequence) {
    const int64_t begin = of.boundaries[sequence];
    const int64_t end = of.boundaries[sequence + 1];
    for (int64_t query = begin; query < end; ++query) {
      for (int64_t head = 0; head < of.heads; ++head) {
        const int64_t row = (query * of.heads + head) * of.size;
        const auto key_row = [&](int64_t key) {
          return (key * of.groups + head / (of.heads / of.groups)) * of.size;
        };
        weights.clear();
        for (int64_t key = begin; key < end; ++key) {
          float product = 0;
          for (int64_t i = 0; i < of.size; ++i) {
            product += element_at(of.q, of.is_float, row + i) *
                       element_at(of.k, of.is_float, key_row(key) + i);
          }
          weights.push_back(product * static_cast<float>(of.scale));
        }
        const float largest = *std::max_element(weights.begin(), weights.end());
        float total = 0;
        for (float& weight : weights) total += weight = std::exp(weight - largest);
        for (int64_t i = 0; i < of.size; ++i) {
          float sum = 0;
          for (int64_t key = begin; key < end; ++key) {
            sum += weights[static_cast<size_t>(key - begin)] *
                   element_at(of.v, of.is_float, key_row(key) + i);
          }
          if (of.is_float) {
            static_cast<float*>(out)[row + i] = sum / total;
          } else {
            static_cast<c10::BFloat16*>(out)[row + i] = static_cast<c10::BFloat16>(sum / total);
          }
        }
      }
    }
  }
}

}  // namespace samebits
