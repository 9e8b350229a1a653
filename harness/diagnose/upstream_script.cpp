#include "harness/diagnose/upstream_script.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/bits/safetensors.h"
#include "harness/model/architecture.h"
#include "harness/model/checkpoint.h"
#include "harness/model/config.h"
#include "harness/observe/tensor_observation.h"
#include "harness/run/keep_tensor.h"

namespace samebits {
namespace {

// An operator of the model as torch has it. `{}` of an input is the layer, `{-}` what enters it.
struct TorchOperator {
  const char* name;  // its site, without layer and number
  const char* call;  // of x and y, its inputs, and w, its weight
  const char* inputs[2];
  bool has_weight = true;
};

constexpr char kLinear[] = "F.linear(x, w)";
constexpr char kNorm[] = "F.rms_norm(x.view(a.shape), w.shape, w, eps)";
constexpr char kAdd[] = "x + y";

constexpr TorchOperator kOperators[] = {
    {"attention_norm", kNorm, {"{-}", nullptr}},
    {"attention.wq", kLinear, {"{}.attention_norm", nullptr}},
    {"attention.wk", kLinear, {"{}.attention_norm", nullptr}},
    {"attention.wv", kLinear, {"{}.attention_norm", nullptr}},
    {"attention.q_norm", kNorm, {"{}.attention.wq", nullptr}},
    {"attention.k_norm", kNorm, {"{}.attention.wk", nullptr}},
    {"attention.wo", kLinear, {"{}.attention.inner", nullptr}},
    {"attention_residual", kAdd, {"{-}", "{}.attention.wo"}, false},
    {"ffn_norm", kNorm, {"{}.attention_residual", nullptr}},
    {"feed_forward.w1", kLinear, {"{}.ffn_norm", nullptr}},
    {"feed_forward.w3", kLinear, {"{}.ffn_norm", nullptr}},
    {"feed_forward.silu_mul", "F.silu(x) * y", {"{}.feed_forward.w1", "{}.feed_forward.w3"}, false},
    {"feed_forward.w2", kLinear, {"{}.feed_forward.silu_mul", nullptr}},
    {"ffn_residual", kAdd, {"{}.attention_residual", "{}.feed_forward.w2"}, false},
};

// "layers.3.attention.wo#0" in its parts.
struct LayerSite {
  int64_t layer;
  std::string name;
};

std::optional<LayerSite> layer_site(const std::string& site) {
  constexpr std::string_view kLayers = "layers.";
  const size_t dot = site.find('.', kLayers.size());
  const size_t end = site.find('#');
  if (!site.starts_with(kLayers) || dot == std::string::npos || end == std::string::npos) {
    return std::nullopt;
  }
  return LayerSite{std::stoll(site.substr(kLayers.size(), dot - kLayers.size())),
                   site.substr(dot + 1, end - dot - 1)};
}

std::string input_site(const std::string& pattern, int64_t layer) {
  if (pattern == "{-}") {
    return layer == 0 ? "tok_embeddings#0" : fmt::format("layers.{}.ffn_residual#0", layer - 1);
  }
  return fmt::format("layers.{}{}#0", layer, pattern.substr(2));
}

// What an arm observed there; undefined where that cannot be had.
at::Tensor tensor_at(const CaseArm& arm, const ObservationPlace& place) {
  const Computation computation = keep_tensor(without_replays(arm), place).computation;
  return computation.is_known() ? computation.value() : at::Tensor();
}

at::Tensor weight_of(const CaseArm& arm, const std::string& site) {
  const DecoderConfig config = decoder_config_from_folder(arm.model);
  const Architecture& architecture = architecture_of(config);
  const Weights weights = load_checkpoint(arm.model, config);
  for (const auto& [name, weight] : weights) {
    if (architecture.site_of_weight(name) == site) return weight;
  }
  return {};
}

constexpr char kScript[] = R"(# {site}, of stock torch: python3 upstream.py
import json, struct
import torch
import torch.nn.functional as F

raw = open("inputs.safetensors", "rb").read()
end = 8 + struct.unpack("<Q", raw[:8])[0]
header = json.loads(raw[8:end])
TYPES = {{"BF16": torch.bfloat16, "F32": torch.float32, "F16": torch.float16, "F64": torch.float64}}


def tensor(name):
    entry = header.get(name)
    if entry is None:
        return None
    begin, stop = entry["data_offsets"]
    data = torch.frombuffer(bytearray(raw[end + begin:end + stop]), dtype=TYPES[entry["dtype"]])
    return data.view(entry["shape"])


x, y, w, a, b, eps = *map(tensor, ("x", "y", "w", "a", "b")), {eps}
out = {call}
print("torch", torch.__version__)
for name, seen in (("{a}", a), ("{b}", b)):
    apart = out.view(a.shape) != seen
    print(f"{{name}} differs from torch in {{apart.sum().item()}} of {{apart.numel()}} elements")
apart = a != b
most = (a.float() - b.float()).abs().max().item()
print(f"{a} and {b} differ in {{apart.sum().item()}} elements, by up to {{most}}")
)";

}  // namespace

bool write_upstream_script(const CaseArm& a, const CaseArm& b, const ObservationPlace& place,
                           const std::filesystem::path& folder) {
  const std::optional<LayerSite> site = layer_site(place.site);
  if (!site || place.step != 0) return false;
  const TorchOperator* found = nullptr;
  for (const TorchOperator& each : kOperators) {
    if (site->name == each.name) found = &each;
  }
  if (found == nullptr) return false;

  std::vector<std::pair<std::string, at::Tensor>> tensors;
  const auto keep = [&](const char* name, const at::Tensor& tensor) {
    if (tensor.defined()) tensors.emplace_back(name, tensor.contiguous());
    return tensor.defined();
  };
  if (!keep("a", tensor_at(a, place)) || !keep("b", tensor_at(b, place))) return false;
  const char* const names[] = {"x", "y"};
  for (size_t i = 0; i < std::size(names); ++i) {
    if (found->inputs[i] == nullptr) continue;
    ObservationPlace of_input = place;
    of_input.site = input_site(found->inputs[i], site->layer);
    if (!keep(names[i], tensor_at(a, of_input))) return false;
  }
  const std::string weight = place.site.substr(0, place.site.find('#')) + ".weight";
  if (found->has_weight && !keep("w", weight_of(a, weight))) return false;

  std::vector<TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    const auto* bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
    views.push_back({name,
                     dtype_from_scalar_type(tensor.scalar_type()),
                     tensor.sizes().vec(),
                     {bytes, tensor.nbytes()}});
  }
  write_safetensors((folder / "inputs.safetensors").string(), views);
  write_text_file(
      (folder / "upstream.py").string(),
      fmt::format(kScript, fmt::arg("site", place.site), fmt::arg("call", found->call),
                  fmt::arg("eps", shortest_text(decoder_config_from_folder(a.model).rms_norm_eps)),
                  fmt::arg("a", a.name), fmt::arg("b", b.name)));
  return true;
}

}  // namespace samebits
