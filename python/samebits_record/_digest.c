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

#define ADD_ELEMENT(BITS)         \
  do {                            \
    const uint64_t bits = (BITS); \
    a += mix_a(bits + by_a);      \
    b += mix_b(bits ^ by_b);      \
    by_a += INDEX_A;              \
    by_b += INDEX_B;              \
  } while (0)

/* Elements that a cache holds, so that looking for NaN and infinity among them costs little: first
 * whether there is one, in lanes of the element's own width, and only then how many. */
#define BLOCK 2048

/* `count` contiguous elements, the first with row-major index `first`. `exponent`: the bits that are
 * all set in a NaN or an infinity; 0 for integers. */
#define DEFINE_RANGE(NAME, TYPE, TARGET)                                                      \
  TARGET static void NAME(const TYPE* data, int64_t count, uint64_t first, uint64_t exponent, \
                          Slot* slot) {                                                       \
    uint64_t a = 0, b = 0;                                                                    \
    uint64_t by_a = (first + 1) * INDEX_A, by_b = (first + 1) * INDEX_B;                      \
    const TYPE mask = (TYPE)exponent;                                                         \
    for (int64_t begin = 0; begin < count; begin += BLOCK) {                                  \
      const TYPE* block = data + begin;                                                       \
      const int64_t size = count - begin < BLOCK ? count - begin : BLOCK;                     \
      TYPE any = 0;                                                                           \
      if (mask) {                                                                             \
        for (int64_t i = 0; i < size; ++i) any |= (TYPE)((block[i] & mask) == mask);          \
      }                                                                                       \
      for (int64_t i = 0; i < size; ++i) ADD_ELEMENT(block[i]);                               \
      for (int64_t i = 0; any && i < size; ++i) {                                             \
        slot->extra += (TYPE)(block[i] & mask) == mask;                                       \
      }                                                                                       \
    }                                                                                         \
    slot->a += a;                                                                             \
    slot->b += b;                                                                             \
  }

#if defined(__x86_64__) && defined(__GNUC__)
/* 64-bit products are one vector instruction with AVX-512DQ and a few with AVX2. */
#if defined(__clang__)
#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw")))
#else
#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,prefer-vector-width=512")))
#endif
#define AVX2 __attribute__((target("avx2")))
#define DEFINE_RANGES(TYPE)                   \
  DEFINE_RANGE(range_plain_##TYPE, TYPE, )    \
  DEFINE_RANGE(range_avx2_##TYPE, TYPE, AVX2) \
  DEFINE_RANGE(range_avx512_##TYPE, TYPE, AVX512)
#define RANGE(TYPE, ...)                                              \
  (level == 2   ? range_avx512_##TYPE((const TYPE*)data, __VA_ARGS__) \
   : level == 1 ? range_avx2_##TYPE((const TYPE*)data, __VA_ARGS__)   \
                : range_plain_##TYPE((const TYPE*)data, __VA_ARGS__))
static int find_level(void) {
  if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw")) {
    return 2;
  }
  return __builtin_cpu_supports("avx2") ? 1 : 0;
}
#else
#define DEFINE_RANGES(TYPE) DEFINE_RANGE(range_plain_##TYPE, TYPE, )
#define RANGE(TYPE, ...) range_plain_##TYPE((const TYPE*)data, __VA_ARGS__)
static int find_level(void) { return 0; }
#endif

DEFINE_RANGES(uint8_t)
DEFINE_RANGES(uint16_t)
DEFINE_RANGES(uint32_t)
DEFINE_RANGES(uint64_t)

static int level = -1;

static void add_range(const char* data, int64_t element_size, int64_t count, uint64_t first,
                      uint64_t exponent, Slot* slot) {
  switch (element_size) {
    case 1:
      RANGE(uint8_t, count, first, exponent, slot);
      break;
    case 2:
      RANGE(uint16_t, count, first, exponent, slot);
      break;
    case 4:
      RANGE(uint32_t, count, first, exponent, slot);
      break;
    case 8:
      RANGE(uint64_t, count, first, exponent, slot);
      break;
  }
}

/* Elements on their way from where a view has them to row-major order, a block at a time. */
typedef struct {
  _Alignas(64) char data[BLOCK * 8];
  int64_t element_size, count;
  uint64_t first, exponent;
  Slot* slot;
} Pack;

static void flush(Pack* pack) {
  add_range(pack->data, pack->element_size, pack->count, pack->first, pack->exponent, pack->slot);
  pack->first += (uint64_t)pack->count;
  pack->count = 0;
}

#define COPY_APART(TYPE) \
  for (int64_t i = 0; i < count; ++i) ((TYPE*)to)[i] = ((const TYPE*)from)[i * stride]

static void copy_apart(void* to, const void* from, int64_t count, int64_t stride, int64_t width) {
  switch (width) {
    case 1:
      COPY_APART(uint8_t);
      break;
    case 2:
      COPY_APART(uint16_t);
      break;
    case 4:
      COPY_APART(uint32_t);
      break;
    case 8:
      COPY_APART(uint64_t);
      break;
  }
}

static void pack_row(Pack* pack, const char* data, uint64_t index, int64_t size, int64_t stride) {
  const int64_t width = pack->element_size;
  if (pack->first + (uint64_t)pack->count != index) { /* a row of the whole has more than this */
    flush(pack);
    pack->first = index;
  }
  for (int64_t done = 0; done < size;) {
    const int64_t room = BLOCK - pack->count, left = size - done;
    const int64_t count = left < room ? left : room;
    char* to = pack->data + pack->count * width;
    const char* from = data + done * stride * width;
    if (stride == 1) {
      memcpy(to, from, (size_t)(count * width));
    } else {
      copy_apart(to, from, count, stride, width);
    }
    pack->count += count;
    done += count;
    if (pack->count == BLOCK) flush(pack);
  }
}

static void pack_view(Pack* pack, const char* data, uint64_t index, int64_t dimensions,
                      const int64_t* sizes, const int64_t* strides, const int64_t* index_strides) {
  if (dimensions == 1) {
    pack_row(pack, data, index, sizes[0], strides[0]);
    return;
  }
  for (int64_t i = 0; i < sizes[0]; ++i) {
    pack_view(pack, data + i * strides[0] * pack->element_size,
              index + (uint64_t)(i * index_strides[0]), dimensions - 1, sizes + 1, strides + 1,
              index_strides + 1);
  }
}

/* Writes `slot` for a contiguous tensor of `count` elements. For a scalar (`is_scalar`) the raw
 * bits go where a tensor's count of NaN and infinities goes. */
void samebits_digest(const void* data, int64_t element_size, int64_t count, uint64_t exponent,
                     int64_t is_scalar, Slot* slot) {
  if (level < 0) level = find_level();
  memset(slot, 0, sizeof(*slot));
  add_range((const char*)data, element_size, count, 0, is_scalar ? 0 : exponent, slot);
  if (is_scalar) memcpy(&slot->extra, data, (size_t)element_size); /* little-endian */
  slot->fired = 1;
}

/* The same for any strides, which are in elements, and for a part of a larger tensor: `first` and
 * `index_strides` are row-major indices in the whole, whose last dimension has stride 1.
 * `dimensions` is at least 1. */
void samebits_digest_strided(const void* data, int64_t element_size, int64_t dimensions,
                             const int64_t* sizes, const int64_t* strides, int64_t first,
                             const int64_t* index_strides, uint64_t exponent, Slot* slot) {
  if (level < 0) level = find_level();
  memset(slot, 0, sizeof(*slot));
  Pack pack; /* its data is written before it is read */
  pack.element_size = element_size;
  pack.count = 0;
  pack.first = (uint64_t)first;
  pack.exponent = exponent;
  pack.slot = slot;
  pack_view(&pack, (const char*)data, pack.first, dimensions, sizes, strides, index_strides);
  flush(&pack);
  slot->fired = 1;
}
