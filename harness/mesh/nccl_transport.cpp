#include "harness/mesh/nccl_transport.h"

#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include <cstring>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "harness/base/error.h"

namespace samebits {
namespace {

void check(ncclResult_t result, const char* what) {
  if (result == ncclSuccess) return;
  throw RunError(std::string("NCCL, ") + what + ": " + ncclGetErrorString(result) + "; " +
                 ncclGetLastError(nullptr));
}

ncclUniqueId shared_id(c10d::Store& store, int64_t rank) {
  const std::string key = "nccl";
  ncclUniqueId id;
  if (rank == 0) {
    check(ncclGetUniqueId(&id), "an id for the group");
    store.set(key, std::vector<uint8_t>(id.internal, id.internal + sizeof id.internal));
  }
  const std::vector<uint8_t> bytes = store.get(key);
  std::memcpy(id.internal, bytes.data(), sizeof id.internal);
  return id;
}

class NcclTransport final : public Transport {
 public:
  NcclTransport(c10d::Store& store, int64_t rank, int64_t size, CollectiveLog& log)
      : Transport(rank, size, log), device_(c10::kCUDA, c10::cuda::current_device()) {
    check(ncclCommInitRank(&group_, static_cast<int>(size), shared_id(store, rank),
                           static_cast<int>(rank)),
          "making the group");
  }
  ~NcclTransport() override { ncclCommAbort(group_); }  // destroying would wait for the others

  c10::Device device() const override { return device_; }

 private:
  static cudaStream_t stream() { return c10::cuda::getCurrentCUDAStream(); }

  void move_to_all(const void* given, void* got, int64_t bytes) override {
    check(ncclAllGather(given, got, static_cast<size_t>(bytes), ncclUint8, group_, stream()),
          "all-gather");
  }

  void exchange(const void* given, void* got, int64_t bytes) override {
    const auto block = static_cast<size_t>(bytes);
    check(ncclGroupStart(), "all-to-all");
    for (int64_t peer = 0; peer < size(); ++peer) {
      const auto* from = static_cast<const char*>(given) + peer * bytes;
      auto* to = static_cast<char*>(got) + peer * bytes;
      check(ncclSend(from, block, ncclUint8, static_cast<int>(peer), group_, stream()),
            "all-to-all");
      check(ncclRecv(to, block, ncclUint8, static_cast<int>(peer), group_, stream()), "all-to-all");
    }
    check(ncclGroupEnd(), "all-to-all");
  }

  c10::Device device_;
  ncclComm_t group_ = nullptr;
};

}  // namespace

std::unique_ptr<Transport> make_nccl_transport(const c10::intrusive_ptr<c10d::Store>& store,
                                               int64_t rank, int64_t size, CollectiveLog& log) {
  return std::make_unique<NcclTransport>(*store, rank, size, log);
}

}  // namespace samebits
