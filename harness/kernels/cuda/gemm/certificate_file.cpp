#include "harness/kernels/cuda/gemm/certificate_file.h"

#include <filesystem>
#include <limits>
#include <utility>
#include <vector>

#include "harness/base/file.h"
#include "harness/base/json.h"

namespace samebits {
namespace {

constexpr int64_t kFormat = 1;

struct Attribute {
  const char* name;
  int64_t LtAlgorithm::*value;
  int64_t max;
};
constexpr int64_t kMost16 = std::numeric_limits<uint16_t>::max();
constexpr int64_t kMost32 = std::numeric_limits<uint32_t>::max();
constexpr Attribute kAttributes[] = {
    {"id", &LtAlgorithm::id, std::numeric_limits<int32_t>::max()},
    {"tile", &LtAlgorithm::tile, kMost32},
    {"stages", &LtAlgorithm::stages, kMost32},
    {"split_k", &LtAlgorithm::split_k, 1},
    {"reduction", &LtAlgorithm::reduction, 0},
    {"swizzle", &LtAlgorithm::swizzle, kMost32},
    {"custom_option", &LtAlgorithm::custom_option, kMost32},
    {"inner_shape", &LtAlgorithm::inner_shape, kMost16},
    {"cluster_shape", &LtAlgorithm::cluster_shape, kMost16},
};

Json json_from_layout(const Product::Layout& layout) {
  return {{"by_rows", layout.by_rows}, {"stride", layout.stride}};
}

Json json_from_product(const Product& product) {
  return {{"m", product.m},
          {"n", product.n},
          {"k", product.k},
          {"a", json_from_layout(product.a)},
          {"b", json_from_layout(product.b)},
          {"out", dtype_name(product.out)}};
}

Json json_from_algorithm(const std::optional<LtAlgorithm>& algorithm) {
  if (!algorithm) return nullptr;
  Json json = Json::object();
  for (const Attribute& attribute : kAttributes) {
    json[attribute.name] = (*algorithm).*attribute.value;
  }
  return json;
}

Product::Layout layout_from_json(const JsonReader& json) {
  json.object({"by_rows", "stride"});
  return {json.required("by_rows").boolean(), json.required("stride").integer(1)};
}

Product product_from_json(const JsonReader& json) {
  json.object({"m", "n", "k", "a", "b", "out"});
  return {json.required("m").integer(1),
          json.required("n").integer(1),
          json.required("k").integer(1),
          layout_from_json(json.required("a")),
          layout_from_json(json.required("b")),
          json.required("out").one_of<Dtype>(
              {{"bfloat16", Dtype::bfloat16}, {"float32", Dtype::float32}})};
}

std::optional<LtAlgorithm> algorithm_from_json(const JsonReader& json) {
  if (json.value().is_null()) return std::nullopt;
  std::vector<std::string> names;
  for (const Attribute& attribute : kAttributes) names.emplace_back(attribute.name);
  json.object(names);
  LtAlgorithm algorithm{};
  for (const Attribute& attribute : kAttributes) {
    algorithm.*attribute.value = json.required(attribute.name).integer(0, attribute.max);
  }
  return algorithm;
}

std::pair<CertificateKey, Certificate> certificate_from_json(const JsonReader& json) {
  json.object({"card", "compute_capability", "cublaslt", "product", "algorithm", "digest"});
  const JsonReader digest = json.required("digest");
  return {{json.required("card").non_empty_string(),
           json.required("compute_capability").non_empty_string(),
           json.required("cublaslt").integer(1), product_from_json(json.required("product"))},
          {algorithm_from_json(json.required("algorithm")),
           Digest::from_hex(digest.string(), digest.where())}};
}

}  // namespace

std::string text_from_certificates(const Certificates& certificates) {
  Json all = Json::array();
  for (const auto& [key, certificate] : certificates) {
    all.push_back({{"card", key.card},
                   {"compute_capability", key.capability},
                   {"cublaslt", key.cublaslt},
                   {"product", json_from_product(key.product)},
                   {"algorithm", json_from_algorithm(certificate.algorithm)},
                   {"digest", certificate.digest.hex()}});
  }
  const Json json = {{"format", kFormat}, {"certificates", std::move(all)}};
  return json.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

Certificates parse_certificates(std::string_view text, const std::string& file) {
  const Json parsed = parse_json(text, file);
  const JsonReader json(parsed, file);
  json.required("format").integer(kFormat, kFormat);
  json.object({"format", "certificates"});
  Certificates certificates;
  for (const JsonReader& each : json.required("certificates").array()) {
    if (!certificates.insert(certificate_from_json(each)).second) {
      each.fail("a second certificate of the same card, library and product", "one of each");
    }
  }
  return certificates;
}

Certificates read_certificates(const std::string& file) {
  if (!std::filesystem::exists(file)) return {};
  return parse_certificates(read_text_file(file), file);
}

void add_certificate(const std::string& file, const CertificateKey& key,
                     const Certificate& certificate) {
  Certificates all = read_certificates(file);
  all.insert_or_assign(key, certificate);
  write_text_file(file, text_from_certificates(all));
}

}  // namespace samebits
