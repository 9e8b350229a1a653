// Exists to own the precompiled LibTorch header that every target shares.
