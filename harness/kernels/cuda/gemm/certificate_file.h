#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "harness/bits/digest.h"
#include "harness/bits/dtype.h"

// Which algorithm of cuBLASLt was certified for a product (cuda/certified_gemm.h), as a file keeps
// it from one process to the next. Nothing here needs a card.
namespace samebits {

// out [m, n] = a [m, k] b [n, k]^T, operands in bfloat16.
struct Product {
  struct Layout {
    bool by_rows;    // the elements of a row are neighbours; otherwise those of a column
    int64_t stride;  // in elements, from one row to the next, or from one column
    auto operator<=>(const Layout&) const = default;
  };

  int64_t m, n, k;
  Layout a, b;
  Dtype out;  // bfloat16 or float32
  auto operator<=>(const Product&) const = default;
};

// What a certificate holds for, and for nothing else.
struct CertificateKey {
  std::string card;        // as the driver calls it
  std::string capability;  // "9.0"
  int64_t cublaslt;        // cublasLtGetVersion()
  Product product;
  auto operator<=>(const CertificateKey&) const = default;
};

// The values of CUBLASLT_ALGO_CONFIG_..., from which one version of the library on one card builds
// the same algorithm again. `split_k` is 0 or 1 and `reduction` 0: no other keeps the contract.
struct LtAlgorithm {
  int64_t id, tile, stages, split_k, reduction, swizzle, custom_option, inner_shape, cluster_shape;
  bool operator==(const LtAlgorithm&) const = default;
};

struct Certificate {
  std::optional<LtAlgorithm> algorithm;  // none: our own kernel was the fastest
  Digest digest;                         // of the product of the probe's operands
  bool operator==(const Certificate&) const = default;
};

using Certificates = std::map<CertificateKey, Certificate>;

// JSON, in the order of the keys. The parser throws InputError, in one line that names `file`, for
// whatever it would not have written: another format, an unknown key, the same key twice, a split.
std::string text_from_certificates(const Certificates& certificates);
Certificates parse_certificates(std::string_view text, const std::string& file);

// None where there is no such file yet. Throws InputError as above, and leaves the file as it is.
Certificates read_certificates(const std::string& file);

// Puts one certificate among those that `file` holds by now, those of other cards and libraries
// included. The new file replaces the old one when it is complete. Of two processes that write at
// the same moment one may lose its addition, and certifies again the next time. Throws InputError
// as above, RunError where it cannot be written.
void add_certificate(const std::string& file, const CertificateKey& key,
                     const Certificate& certificate);

}  // namespace samebits
