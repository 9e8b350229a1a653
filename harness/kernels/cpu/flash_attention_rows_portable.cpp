#include "harness/kernels/cpu/flash_attention_rows.h"
#include "harness/kernels/cpu/math.h"

namespace samebits {
namespace {
#include "harness/kernels/cpu/flash_attention_rows.inc"
}  // namespace

extern const AttentionRows kAttentionRowsPortable = kTable;

}  // namespace samebits
