#pragma once

// A name for a value: samebits::mark(x, site) computes nothing and returns nothing.
//
// The model marks what a run observes ("layers.3.attention.wo"). Observers and tracers listen at
// dispatch keys above the kernel, which is reached only by plain tensors and does nothing there.
