#define SAMEBITS_ROWS rows_avx2
#include "harness/kernels/cpu/rowwise.inc"
