#define SAMEBITS_ROWS rows_avx512
#include "harness/kernels/cpu/rowwise.inc"
