#pragma once

// The residual stream's addition.
//
//   residual_add(x, y) -> round(x + y)
//
// x and y have one shape and one dtype, bf16 or float32. The sum is float32, rounded once.
// Element by element, so independent of everything else. Both gradients are the output's.
