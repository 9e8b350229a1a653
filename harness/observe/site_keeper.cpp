#include "harness/observe/site_keeper.h"

#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/bits/safetensors.h"
#include "harness/dtensor/dtensor.h"
#include "harness/observe/kept_file.h"
#include "harness/observe/tensor_observation.h"

namespace samebits {

SiteKeeper::SiteKeeper(const KeepSettings& settings, std::string where)
    : settings_(settings), where_(std::move(where)), pattern_(settings.sites, where_) {}

int64_t SiteKeeper::count(int64_t step, const std::string& phase, const std::string& site) {
  return pattern_.matches(site) ? seen_[{step, phase, site}]++ : -1;
}

void SiteKeeper::pass(int64_t step, const std::string& phase, const std::string& site) {
  count(step, phase, site);
}

void SiteKeeper::see(int64_t step, const std::string& phase, const std::string& site,
                     const at::Tensor& value) {
  const int64_t occurrence = count(step, phase, site);
  if (occurrence < 0 || value.dim() == 0) return;
  const std::string name = kept_name(step, occurrence, phase, site);
  bytes_ += value.numel() * value.element_size();
  if (bytes_ > settings_.bytes) {
    throw RunError(
        fmt::format("{}: {} would be kept, and with it {} bytes, more than keep.bytes, {}", where_,
                    quoted(name), bytes_, settings_.bytes));
  }
  const c10::NoGradGuard no_grad;
  const at::Tensor whole = is_dtensor(value) ? full_tensor(value) : value;
  kept_.emplace_back(name, whole.detach().to(at::kCPU, whole.scalar_type(), /*non_blocking=*/false,
                                             /*copy=*/true, at::MemoryFormat::Contiguous));
}

void SiteKeeper::write(const std::filesystem::path& file) const {
  if (kept_.empty()) {
    throw RunError(fmt::format("{}: no tensor was observed at a site that matches {}", where_,
                               quoted(settings_.sites)));
  }
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : kept_) {
    views.push_back({name,
                     dtype_from_scalar_type(tensor.scalar_type()),
                     tensor.sizes().vec(),
                     {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
  }
  write_safetensors(file.string(), views);
}

}  // namespace samebits
