"""Beside pytorch#190764, on the torch at hand, on the CPU: an int64 arange of a dynamic length times
0x9e3779b97f4a7c15, compiled by Inductor. The product wraps in eager; as the signed index of a loop
in C++ it may not, and a compiler that uses that ends the loop after its first step. What is left is
memory that nobody wrote."""

import json
import sys

import torch
from torch._inductor.exc import InvalidCxxCompiler

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)  # as a signed number


def positions(x):
    return torch.arange(x.numel(), dtype=torch.int64) * GOLDEN


def wrong_elements(length, dynamic):
    x = torch.zeros(length)
    expected = positions(x)
    compiled = torch.compile(positions, dynamic=dynamic, fullgraph=True)
    compiled(x)
    freed = [torch.full((length,), 7) for _ in range(64)]  # what the allocator gives next
    del freed
    return (compiled(x) != expected).nonzero().flatten().tolist()


try:
    wrong = {n: wrong_elements(n, dynamic=True) for n in (64, 16, 17, 40)}
    torch._dynamo.reset()
    static = wrong_elements(64, dynamic=False)
    live = {n: found for n, found in wrong.items() if found}
    state = "live" if live else "fixed"
    counts = ", ".join(f"of {n} from {found[0]} on, {len(found)}" for n, found in live.items())
    evidence = f"elements that are not eager's: {counts or 'none'}; of a fixed 64: {len(static)}"
except Exception as error:
    # Dynamo wraps what a backend raises.
    if not isinstance(getattr(error, "inner_exception", error), InvalidCxxCompiler):
        raise
    state, evidence = "not applicable", "inductor needs a C++ compiler for the CPU"
print(json.dumps({"torch": torch.__version__, "state": state, "evidence": evidence}))
sys.exit(77 if state == "not applicable" else 0)
