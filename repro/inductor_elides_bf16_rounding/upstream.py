"""pytorch#183122 on the torch at hand, on the CPU: rotary embedding in bfloat16, eager and
compiled. Eager rounds after every operator; what inductor fuses rounds once."""

import json
import sys

import torch
from torch._inductor.exc import InvalidCxxCompiler


def rope(x, cos, sin):
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin


torch.manual_seed(99)
x = torch.randn(2, 3, 5, 8, dtype=torch.bfloat16)
cos, sin = torch.randn(2, 2, 1, 5, 8, dtype=torch.bfloat16)
eager = rope(x, cos, sin)
exact = rope(x.double(), cos.double(), sin.double())
try:
    fused = torch.compile(rope, fullgraph=True)(x, cos, sin)
    differing = int((eager != fused).sum())
    errors = [f"{(y.double() - exact).abs().mean():.2e}" for y in (eager, fused)]
    state = "live" if differing else "fixed"
    evidence = (
        f"{differing} of {eager.numel()} elements differ, by up to {(eager - fused).abs().max()}; "
        f"mean distance from float64: eager {errors[0]}, compiled {errors[1]}"
    )
except Exception as error:
    # Dynamo wraps what a backend raises.
    if not isinstance(getattr(error, "inner_exception", error), InvalidCxxCompiler):
        raise
    state, evidence = "not applicable", "inductor needs a C++ compiler for the CPU"
print(json.dumps({"torch": torch.__version__, "state": state, "evidence": evidence}))
sys.exit(77 if state == "not applicable" else 0)
