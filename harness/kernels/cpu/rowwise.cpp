#include "harness/kernels/cpu/rowwise.h"

#include "harness/kernels/cpu/isa.h"

namespace samebits {

#define SAMEBITS_DECLARE_ROWS(isa)             \
  namespace rows_##isa {                       \
    extern const RowKernels<Bf16> kBf16Rows;   \
    extern const RowKernels<float> kFloatRows; \
    extern const SampleKernels kSample;        \
  }
SAMEBITS_DECLARE_ROWS(portable)
#if defined(__x86_64__)
SAMEBITS_DECLARE_ROWS(avx2)
SAMEBITS_DECLARE_ROWS(avx512)
#endif

namespace {

template <typename Table>
const Table& select([[maybe_unused]] const Table* avx512, [[maybe_unused]] const Table* avx2,
                    const Table* portable) {
  switch (selected_isa()) {
    case Isa::avx512:
      return *avx512;
    case Isa::avx2:
      return *avx2;
    case Isa::portable:
      break;
  }
  return *portable;
}

}  // namespace

#if defined(__x86_64__)
#define SAMEBITS_SELECT_ROWS(table) \
  select(&rows_avx512::table, &rows_avx2::table, &rows_portable::table)
#else
#define SAMEBITS_SELECT_ROWS(table) rows_portable::table
#endif

template <>
const RowKernels<Bf16>& row_kernels<Bf16>() {
  return SAMEBITS_SELECT_ROWS(kBf16Rows);
}

template <>
const RowKernels<float>& row_kernels<float>() {
  return SAMEBITS_SELECT_ROWS(kFloatRows);
}

const SampleKernels& sample_kernels() { return SAMEBITS_SELECT_ROWS(kSample); }

}  // namespace samebits
