"""pytorch#136338 on the torch at hand, with no GPU: one row times a matrix in float32, alone and
among copies of itself."""

import json

import torch

torch.manual_seed(0)
torch.set_num_threads(1)
weight = torch.randn(1000, 1000)
row = torch.randn(1, 1000)
alone = row @ weight
differing = {}
for rows in (2, 3, 8, 33, 64):
    among = (row.expand(rows, -1).contiguous() @ weight)[:1]
    differing[rows] = int((among != alone).sum())

print(json.dumps({
    "torch": torch.__version__,
    "state": "live" if any(differing.values()) else "fixed",
    "evidence": "row 0 of m rows against the row alone, elements of 1000 that differ: "
    + ", ".join(f"m = {rows}: {count}" for rows, count in differing.items())
    + f" ({torch.backends.cpu.get_cpu_capability()})",
}))
