/* The sums of samebits's digest over a tensor in memory: docs/stream.md states the arithmetic.
 *
 * Loaded with ctypes. All arithmetic is on unsigned 64-bit words, so neither the instruction set
 * nor the order of the elements can change a bit. */

#include <stdint.h>
#include <string.h>

/* What one observation leaves: both sums; of a scalar its raw bits and of a tensor how many
 * elements are NaN or infinite; and 1, which says that it was written. */
typedef struct {
  uint64_t a, b, extra, fired;
} Slot;

static inline __attribute__((always_inline)) uint64_t mix_a(uint64_t x) {
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

static inline __attribute__((always_inline)) uint64_t mix_b(uint64_t x) {
  x = (x ^ (x >> 33)) * UINT64_C(0xff51afd7ed558ccd);
  x = (x ^ (x >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
  return x ^ (x >> 33);
}

#define INDEX_A UINT64_C(0x9e3779b97f4a7c15)
#define INDEX_B UINT64_C(0xbb67ae8584caa73b)

#define ADD_ELEMENT(BITS)          \
  do {                             \
    const uint64_t bits = (BITS);  \
    a += mix_a(bits + by_a);       \
    b += mix_b(bits ^ by_b);       \
    by_a += INDEX_A;               \
    by_b += INDEX_B;               \
  } while (0)

/* A cache holds a block, so that looking for NaN and infinity in it costs little: first whether
 * there is one, in lanes of the element's own width, and only then how many. */
#define BLOCK 2048

/* `count` elements that lie `stride` elements apart, the first with row-major index `first`.
 * `exponent`: the bits that are all set in a NaN or an infinity; 0 for integers. */
#define DEFINE_ROW(NAME, TYPE, TARGET)                                                     \
  TARGET static void NAME(const TYPE* data, int64_t count, int64_t stride, uint64_t first, \
                          uint64_t exponent, Slot* slot) {                                 \
    uint64_t a = 0, b = 0;                                                                 \
    uint64_t by_a = (first + 1) * INDEX_A, by_b = (first + 1) * INDEX_B;                   \
    const TYPE mask = (TYPE)exponent;                                                      \
    for (int64_t begin = 0; begin < count; begin += BLOCK) {                               \
      const TYPE* block = data + begin * stride;                                           \
      const int64_t size = count - begin < BLOCK ? count - begin : BLOCK;                  \
      TYPE any = 0;                                                                        \
      if (stride == 1) {                                                                   \
        if (mask) {                                                                        \
          for (int64_t i = 0; i < size; ++i) any |= (TYPE)((block[i] & mask) == mask);     \
        }                                                                                  \
        for (int64_t i = 0; i < size; ++i) ADD_ELEMENT(block[i]);                          \
      } else {                                                                             \
        for (int64_t i = 0; i < size; ++i) ADD_ELEMENT(block[i * stride]);                 \
        any = mask != 0;                                                                   \
      }                                                                                    \
      for (int64_t i = 0; any && i < size; ++i) {                                          \
        slot->extra += (TYPE)(block[i * stride] & mask) == mask;                           \
      }                                                                                    \
    }                                                                                      \
    slot->a += a;                                                                          \
    slot->b += b;                                                                          \
  }

#if defined(__x86_64__) && defined(__GNUC__)
/* 64-bit products are one vector instruction with AVX-512DQ and a few with AVX2. */
#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,prefer-vector-width=512")))
#define AVX2 __attribute__((target("avx2")))
#define DEFINE_ROWS(TYPE)                 \
  DEFINE_ROW(row_plain_##TYPE, TYPE, )    \
  DEFINE_ROW(row_avx2_##TYPE, TYPE, AVX2) \
  DEFINE_ROW(row_avx512_##TYPE, TYPE, AVX512)
#define ROW(TYPE, ...)                                               \
  (level == 2   ? row_avx512_##TYPE((const TYPE*)data, __VA_ARGS__)  \
   : level == 1 ? row_avx2_##TYPE((const TYPE*)data, __VA_ARGS__)    \
                : row_plain_##TYPE((const TYPE*)data, __VA_ARGS__))
static int find_level(void) {
  if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw")) {
    return 2;
  }
  return __builtin_cpu_supports("avx2") ? 1 : 0;
}
#else
#define DEFINE_ROWS(TYPE) DEFINE_ROW(row_plain_##TYPE, TYPE, )
#define ROW(TYPE, ...) row_plain_##TYPE((const TYPE*)data, __VA_ARGS__)
static int find_level(void) { return 0; }
#endif

DEFINE_ROWS(uint8_t)
DEFINE_ROWS(uint16_t)
DEFINE_ROWS(uint32_t)
DEFINE_ROWS(uint64_t)

static int level = -1;

static void add_row(const char* data, int64_t element_size, int64_t count, int64_t stride,
                    uint64_t first, uint64_t exponent, Slot* slot) {
  switch (element_size) {
    case 1: ROW(uint8_t, count, stride, first, exponent, slot); break;
    case 2: ROW(uint16_t, count, stride, first, exponent, slot); break;
    case 4: ROW(uint32_t, count, stride, first, exponent, slot); break;
    case 8: ROW(uint64_t, count, stride, first, exponent, slot); break;
  }
}

static uint64_t add_block(const char* data, int64_t element_size, int64_t dimensions,
                          const int64_t* sizes, const int64_t* strides, uint64_t first,
                          uint64_t exponent, Slot* slot) {
  if (dimensions == 1) {
    add_row(data, element_size, sizes[0], strides[0], first, exponent, slot);
    return first + (uint64_t)sizes[0];
  }
  for (int64_t i = 0; i < sizes[0]; ++i) {
    first = add_block(data + i * strides[0] * element_size, element_size, dimensions - 1,
                      sizes + 1, strides + 1, first, exponent, slot);
  }
  return first;
}

/* Writes `slot` for a contiguous tensor of `count` elements. For a scalar (`is_scalar`) the raw
 * bits go where a tensor's count of NaN and infinities goes. */
void samebits_digest(const void* data, int64_t element_size, int64_t count, uint64_t exponent,
                     int64_t is_scalar, Slot* slot) {
  if (level < 0) level = find_level();
  memset(slot, 0, sizeof(*slot));
  add_row((const char*)data, element_size, count, 1, 0, is_scalar ? 0 : exponent, slot);
  if (is_scalar) memcpy(&slot->extra, data, (size_t)element_size); /* little-endian */
  slot->fired = 1;
}

/* The same for any strides, which are in elements. `dimensions` is at least 1. */
void samebits_digest_strided(const void* data, int64_t element_size, int64_t dimensions,
                             const int64_t* sizes, const int64_t* strides, uint64_t exponent,
                             Slot* slot) {
  if (level < 0) level = find_level();
  memset(slot, 0, sizeof(*slot));
  add_block((const char*)data, element_size, dimensions, sizes, strides, 0, exponent, slot);
  slot->fired = 1;
}
