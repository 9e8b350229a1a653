#include "harness/kernels/cuda/gemm/certified_gemm.h"

#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <ATen/cuda/CUDAGraphsUtils.cuh>
#include <array>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "harness/kernels/cuda/gemm/certificate_file.h"
#include "harness/kernels/cuda/gemm/lt_matmul.h"

namespace samebits::cuda {
namespace {

// Of a tensor of `count` elements on the card.
at::Tensor memory_on_card(at::ScalarType type, int64_t count) {
  return at::empty({count}, at::TensorOptions().dtype(type).device(at::kCUDA));
}

Product::Layout layout_of(const Operand& x) {
  const bool by_rows = x.k_stride == 1;
  return {by_rows, by_rows ? x.row_stride : x.k_stride};
}

Product product_of(const Gemm& call) {
  return {call.m,
          call.n,
          call.k,
          layout_of(call.a),
          layout_of(call.b),
          call.bf16_out ? Dtype::bfloat16 : Dtype::float32};
}

// A call on hostile operands of its own, and what gemm() makes of it.
class Probe {
 public:
  Probe(const Gemm& call, cudaStream_t stream);

  // Whether the algorithm gives gemm()'s bytes.
  bool is_kept_by(const LtMatmul& matmul, const cublasLtMatmulAlgo_t& algorithm) const;
  // Of gemm()'s result.
  Digest digest() const;

  // Milliseconds of some runs, the same number for all.
  float time_of_gemm() const;
  float time_of(const LtMatmul& matmul, const cublasLtMatmulAlgo_t& algorithm) const;

 private:
  at::Tensor fill(Operand& x, int64_t rows, uint32_t seed) const;

  cudaStream_t stream_;
  Gemm call_;
  at::Tensor a_, b_, result_, expected_;
};

Probe::Probe(const Gemm& call, cudaStream_t stream)
    : stream_(stream),
      call_(call),
      a_(fill(call_.a, call.m, 1)),
      b_(fill(call_.b, call.n, 2)),
      result_(memory_on_card(call.bf16_out ? at::kBFloat16 : at::kFloat, call.m * call.n)) {
  call_.out = result_.mutable_data_ptr();
  call_.a_is_settled = call_.b_is_settled = false;  // they were only just filled
  gemm(call_, stream_);
  expected_ = result_.clone();
}

at::Tensor Probe::fill(Operand& x, int64_t rows, uint32_t seed) const {
  const auto [by_rows, stride] = layout_of(x);
  const int64_t elements = (by_rows ? rows : call_.k) * stride;
  at::Tensor memory = memory_on_card(at::kBFloat16, elements);
  fill_probe(static_cast<uint16_t*>(memory.mutable_data_ptr()), elements, seed, stream_);
  x.data = memory.const_data_ptr();
  return memory;
}

bool Probe::is_kept_by(const LtMatmul& matmul, const cublasLtMatmulAlgo_t& algorithm) const {
  result_.view(at::kByte).fill_(0xa5);  // what is not written differs
  matmul.run(call_, algorithm, stream_);
  const at::Tensor differs = at::zeros({1}, at::TensorOptions().dtype(at::kInt).device(at::kCUDA));
  compare(static_cast<const uint16_t*>(result_.const_data_ptr()),
          static_cast<const uint16_t*>(expected_.const_data_ptr()),
          static_cast<int64_t>(result_.nbytes() / 2), differs.mutable_data_ptr<int32_t>(), stream_);
  return differs.item<int32_t>() == 0;
}

Digest Probe::digest() const {
  const at::Tensor sums = memory_on_card(at::kLong, 2);
  digest_sums(expected_.const_data_ptr(), expected_.numel(), expected_.element_size(),
              sums.mutable_data_ptr<int64_t>(), stream_);
  const at::Tensor read = sums.cpu();
  const int64_t* ab = read.const_data_ptr<int64_t>();
  return finish_digest({static_cast<uint64_t>(ab[0]), static_cast<uint64_t>(ab[1])},
                       call_.bf16_out ? Dtype::bfloat16 : Dtype::float32,
                       std::array<int64_t, 2>{call_.m, call_.n});
}

float milliseconds(const std::function<void()>& run) {
  constexpr int kRuns = 5;
  at::cuda::CUDAEvent begin(cudaEventDefault);
  at::cuda::CUDAEvent end(cudaEventDefault);
  run();
  begin.record();
  for (int i = 0; i < kRuns; ++i) run();
  end.record();
  end.synchronize();
  return begin.elapsed_time(end);
}

float Probe::time_of_gemm() const {
  return milliseconds([&] { gemm(call_, stream_); });
}

float Probe::time_of(const LtMatmul& matmul, const cublasLtMatmulAlgo_t& algorithm) const {
  return milliseconds([&] { matmul.run(call_, algorithm, stream_); });
}

// The fastest algorithm that keeps the contract, or none where gemm() itself is faster.
std::optional<LtAlgorithm> search(const Probe& probe, const LtMatmul& matmul) {
  float best = probe.time_of_gemm();
  std::optional<LtAlgorithm> chosen;
  for (const LtAlgorithm& candidate : matmul.candidates()) {
    const auto algorithm = matmul.build(candidate);
    if (!algorithm || !probe.is_kept_by(matmul, *algorithm)) continue;
    const float time = probe.time_of(matmul, *algorithm);
    if (time >= best) continue;
    best = time;
    chosen = candidate;
  }
  return chosen;
}

CertificateKey key_of(const Product& product) {
  const cudaDeviceProp& card = *at::cuda::getCurrentDeviceProperties();
  return {card.name, std::to_string(card.major) + "." + std::to_string(card.minor),
          static_cast<int64_t>(cublasLtGetVersion()), product};
}

// What serves which product in this process, and the file that outlives it.
class Certified {
 public:
  void use(const std::string& file) {
    Certificates read = read_certificates(file);
    const std::lock_guard<std::mutex> lock(mutex_);
    remembered_ = std::move(read);
    file_ = file;
    served_.clear();
  }

  // nullopt: gemm() has to serve it.
  std::optional<cublasLtMatmulAlgo_t> algorithm_for(const Gemm& call, const Product& product,
                                                    cudaStream_t stream) {
    const std::pair key(at::cuda::current_device(), product);
    const std::lock_guard<std::mutex> lock(mutex_);
    auto known = served_.find(key);
    if (known == served_.end()) {
      if (at::cuda::currentStreamCaptureStatus() != at::cuda::CaptureStatus::None) return {};
      known = served_.emplace(key, certify(call, product, stream)).first;
    }
    return known->second;
  }

 private:
  std::optional<cublasLtMatmulAlgo_t> certify(const Gemm& call, const Product& product,
                                              cudaStream_t stream) {
    const LtMatmul matmul(product);
    const Probe probe(call, stream);
    const CertificateKey key = key_of(product);
    const Digest digest = probe.digest();
    if (const auto found = remembered_.find(key);
        found != remembered_.end() && found->second.digest == digest) {
      if (!found->second.algorithm) return std::nullopt;
      const auto built = matmul.build(*found->second.algorithm);
      if (built && probe.is_kept_by(matmul, *built)) return built;
    }
    const std::optional<LtAlgorithm> chosen = search(probe, matmul);
    if (!file_.empty()) add_certificate(file_, key, {chosen, digest});
    return chosen ? matmul.build(*chosen) : std::nullopt;
  }

  std::mutex mutex_;
  std::string file_;  // "": none
  Certificates remembered_;
  std::map<std::pair<c10::DeviceIndex, Product>, std::optional<cublasLtMatmulAlgo_t>> served_;
};

Certified& certified() {
  static Certified all;
  return all;
}

bool is_eligible(const Gemm& call) {
  // Products; below, a search costs more than it saves.
  constexpr int64_t kWorthIt = int64_t{1} << 27;
  // What the library takes for granted when it offers algorithms.
  const auto is_aligned = [](const void* memory) {
    return reinterpret_cast<uintptr_t>(memory) % 256 == 0;
  };
  const auto has_chunks = [](int64_t stride) { return stride % 8 == 0; };  // of 16 bytes
  return call.bf16 && (call.slice == 0 || call.slice >= call.k) && call.m >= 64 && call.n >= 64 &&
         call.m * call.n * call.k >= kWorthIt && is_aligned(call.a.data) &&
         is_aligned(call.b.data) && is_aligned(call.out) && has_chunks(layout_of(call.a).stride) &&
         has_chunks(layout_of(call.b).stride) && has_chunks(call.n) &&
         call.m <= std::numeric_limits<int32_t>::max();
}

}  // namespace

bool certified_gemm(const Gemm& call, cudaStream_t stream) {
  if (!is_eligible(call)) return false;
  const Product product = product_of(call);
  const auto algorithm = certified().algorithm_for(call, product, stream);
  if (!algorithm) return false;
  LtMatmul(product).run(call, *algorithm, stream);
  return true;
}

void use_certificates(const std::string& file) { certified().use(file); }

}  // namespace samebits::cuda
