#define SAMEBITS_ROWS rows_portable
#include "harness/kernels/cpu/rowwise.inc"
