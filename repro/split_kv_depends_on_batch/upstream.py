"""Decode attention on the torch and the GPU at hand: one query over 4096 keys, alone and as the
first of a batch of the same lengths. A kernel that splits the keys until the GPU is full splits
less in a batch, and merges in another order."""

import json
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

BATCHES = (2, 8, 64)


def differing(backend):
    """Elements of sequence 0 that differ from it alone, for each size of batch; None if refused."""
    torch.manual_seed(0)
    shape = (max(BATCHES), 8, 4096, 128)
    keys, values = torch.randn(2, *shape, dtype=torch.bfloat16, device="cuda")
    query = torch.randn(shape[0], 8, 1, 128, dtype=torch.bfloat16, device="cuda")

    def attend(batch):
        return torch.nn.functional.scaled_dot_product_attention(
            query[:batch], keys[:batch], values[:batch]
        )[0]

    try:
        with sdpa_kernel(backend):
            alone = attend(1)
            return [int((attend(batch) != alone).sum()) for batch in BATCHES]
    except RuntimeError:
        return None


if torch.cuda.is_available():
    names = ["FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION"]
    found = {name: differing(getattr(SDPBackend, name)) for name in names}
    ran = {name: counts for name, counts in found.items() if counts is not None}
    state = "live" if any(any(counts) for counts in ran.values()) else "fixed"
    counted = "; ".join(f"{name} {counts}" for name, counts in ran.items())
    evidence = f"{torch.cuda.get_device_name()}, elements of 1024 that differ in batches of "
    evidence += f"{BATCHES}: {counted}"
else:
    state, evidence = "not applicable", "needs a GPU"
print(json.dumps({"torch": torch.__version__, "state": state, "evidence": evidence}))
sys.exit(77 if state == "not applicable" else 0)
