// Records what a card's bf16 matrix step returns: `mma.sync.m16n8k16`, float32 accumulator, one
// step.
//
//   nvcc -std=c++17 -arch=sm_90a -o record record.cu && ./record h100.bin
//
// The file: one text line, then `groups` records of
//   A [16][16] bf16 (row, k)   B [16][8] bf16 (k, column)   C [16][8] float32   D [16][8] float32
// in little-endian bits. Group g has class g % 10 (kClasses below); its operands come from
// splitmix64 seeded with g, in the order of the file, so that anyone can make them again.
// tests/kernels/ sm90_oracle_test.cpp compares every D with harness/kernels/cpu/sm90_step.h.

#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

constexpr int kGroups = 220;
constexpr int kClassCount = 10;
const char* const kClasses =
    "ordinary,wide,denormal,underflow,cancelling,arbitrary,zeros,infinite,overflow,tiny";

struct Group {
  uint16_t a[16][16];
  uint16_t b[16][8];
  uint32_t c[16][8];
  uint32_t d[16][8];
};
static_assert(sizeof(Group) == 1792);

class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((next() >> 32) * bound >> 32); }
  // Uniform in [low, high].
  uint32_t in(uint32_t low, uint32_t high) { return low + below(high - low + 1); }

 private:
  uint64_t state_;
};

uint16_t bf16(SplitMix64& rng, uint32_t lowest_exponent, uint32_t highest_exponent) {
  const uint32_t exponent = rng.in(lowest_exponent, highest_exponent);
  return static_cast<uint16_t>(rng.below(2) << 15 | exponent << 7 | rng.below(128));
}

uint32_t f32(SplitMix64& rng, uint32_t lowest_exponent, uint32_t highest_exponent) {
  const uint32_t exponent = rng.in(lowest_exponent, highest_exponent);
  return rng.below(2) << 31 | exponent << 23 | rng.below(1u << 23);
}

uint16_t input(SplitMix64& rng, int kind, bool of_a) {
  switch (kind) {
    case 0:
      return bf16(rng, 121, 128);
    case 1:
      return bf16(rng, 97, 157);
    case 2:  // denormal inputs on one side, denormal results
      return of_a ? bf16(rng, 0, 6) : bf16(rng, 100, 132);
    case 3:  // products around and below the smallest denormal
      return of_a ? bf16(rng, 0, 20) : bf16(rng, 84, 104);
    case 4:
      return bf16(rng, 119, 130);
    case 5:
      return static_cast<uint16_t>(rng.below(65536));
    case 6:
      return rng.below(4) == 0 ? bf16(rng, 120, 130) : static_cast<uint16_t>(rng.below(2) << 15);
    case 7: {
      const uint32_t draw = rng.below(96);
      if (draw < 3) return static_cast<uint16_t>(rng.below(2) << 15 | 0x7f80);
      if (draw == 3) return static_cast<uint16_t>(rng.below(2) << 15 | 0x7f80 | rng.in(1, 127));
      if (draw == 4) return static_cast<uint16_t>(rng.below(2) << 15);
      return bf16(rng, 110, 140);
    }
    case 8:
      return bf16(rng, 186, 192);
    default:  // products of 2^-180 to 2^-126
      return bf16(rng, 37, 64);
  }
}

uint32_t accumulator(SplitMix64& rng, int kind) {
  switch (kind) {
    case 0:
      return f32(rng, 118, 132);
    case 1:
      return f32(rng, 70, 180);
    case 2:
      return f32(rng, 0, 8);
    case 3:
      return rng.below(2) == 0 ? rng.below(2) << 31 : f32(rng, 0, 0);
    case 4:
      return f32(rng, 90, 130);
    case 5:
      return static_cast<uint32_t>(rng.next() >> 32);
    case 6:
      return rng.below(2) << 31;
    case 7:
      return rng.below(16) == 0 ? rng.below(2) << 31 | 0x7f800000u : f32(rng, 100, 150);
    case 8:
      return f32(rng, 240, 254);
    default:
      return rng.below(2) << 31;
  }
}

void fill(Group& group, int index) {
  SplitMix64 rng(static_cast<uint64_t>(index));
  const int kind = index % kClassCount;
  for (auto& row : group.a) {
    for (uint16_t& value : row) value = input(rng, kind, true);
  }
  for (auto& row : group.b) {
    for (uint16_t& value : row) value = input(rng, kind, false);
  }
  for (auto& row : group.c) {
    for (uint32_t& value : row) value = accumulator(rng, kind);
  }
  if (kind == 9) {  // rows 0 to 7: two products, powers of two, so that the cut shows
    for (int row = 0; row < 8; ++row) {
      for (int k = 0; k < 16; ++k) group.a[row][k] &= k / 2 == row ? 0xff80 : 0x8000;
    }
    for (auto& row : group.b) {
      for (int n = 0; n < 6; ++n) row[n] &= 0xff80;
    }
  }
  if (kind == 4) {  // even and odd k cancel, but for the last bit of some
    for (auto& row : group.a) {
      for (int k = 0; k < 16; k += 2)
        row[k + 1] = row[k] ^ static_cast<uint16_t>(rng.below(8) == 0);
    }
    for (int k = 0; k < 16; k += 2) {
      for (int n = 0; n < 8; ++n) group.b[k + 1][n] = group.b[k][n] ^ 0x8000;
    }
  }
}

__device__ uint32_t pair(uint16_t low, uint16_t high) {
  return static_cast<uint32_t>(low) | static_cast<uint32_t>(high) << 16;
}

// One warp, one step.
__global__ void step(Group* groups) {
  Group& g = groups[blockIdx.x];
  const int row = threadIdx.x / 4;
  const int col = threadIdx.x % 4 * 2;
  uint32_t a[4];
  uint32_t b[2];
  for (int i = 0; i < 4; ++i) {
    const int r = row + i % 2 * 8;
    const int k = col + i / 2 * 8;
    a[i] = pair(g.a[r][k], g.a[r][k + 1]);
  }
  for (int i = 0; i < 2; ++i) b[i] = pair(g.b[col + i * 8][row], g.b[col + i * 8 + 1][row]);
  uint32_t d[4];
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%10, %11, %12, %13};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(g.c[row][col]),
        "r"(g.c[row][col + 1]), "r"(g.c[row + 8][col]), "r"(g.c[row + 8][col + 1]));
  g.d[row][col] = d[0];
  g.d[row][col + 1] = d[1];
  g.d[row + 8][col] = d[2];
  g.d[row + 8][col + 1] = d[3];
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "record: %s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: record FILE\n");
    return 2;
  }
  std::vector<Group> groups(kGroups);
  for (int i = 0; i < kGroups; ++i) fill(groups[i], i);

  cudaDeviceProp device{};
  int runtime = 0;
  check(cudaGetDeviceProperties(&device, 0), "cudaGetDeviceProperties");
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  Group* on_card = nullptr;
  const size_t bytes = groups.size() * sizeof(Group);
  check(cudaMalloc(&on_card, bytes), "cudaMalloc");
  check(cudaMemcpy(on_card, groups.data(), bytes, cudaMemcpyHostToDevice), "copy to the card");
  step<<<kGroups, 32>>>(on_card);
  check(cudaGetLastError(), "launch");
  check(cudaMemcpy(groups.data(), on_card, bytes, cudaMemcpyDeviceToHost), "copy from the card");
  check(cudaFree(on_card), "cudaFree");

  std::FILE* file = std::fopen(argv[1], "wb");
  if (file == nullptr) {
    std::perror(argv[1]);
    return 1;
  }
  std::fprintf(file, "samebits sm90_step 1 groups=%d classes=%s device=\"%s\" sm=%d%d cuda=%d\n",
               kGroups, kClasses, device.name, device.major, device.minor, runtime);
  const bool written = std::fwrite(groups.data(), sizeof(Group), groups.size(), file) == kGroups;
  if (std::fclose(file) != 0 || !written) {
    std::fprintf(stderr, "record: cannot write %s\n", argv[1]);
    return 1;
  }
  return 0;
}
