"""DTensor: a loss with reduction="mean" over uneven shards is the mean of the ranks' means. No
second process and no GPU."""

import json

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.distributed._local_tensor import LocalTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
LOSSES = {
    "mse_loss": lambda x: F.mse_loss(x, torch.zeros_like(x)),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, torch.zeros_like(x)),
    "huber_loss": lambda x: F.huber_loss(x, torch.zeros_like(x)),
    "soft_margin_loss": lambda x: F.soft_margin_loss(x, torch.ones_like(x)),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x / 9, torch.ones_like(x)),
    "square().mean()": lambda x: x.square().mean(),  # the control
}


def losses(rows):
    """The losses of rows 0, 1, 2, ... that two ranks share, and of the same in one piece."""
    plain = torch.arange(float(rows)).view(rows, 1)
    with LocalTensorMode(2):
        x = distribute_tensor(plain, init_device_mesh("cpu", (2,)), [Shard(0)])
        shared = {name: loss(x).full_tensor().reconcile().item() for name, loss in LOSSES.items()}
    return {name: (shared[name], LOSSES[name](plain).item()) for name in LOSSES}


def differing(rows):
    return {n: pair for n, pair in losses(rows).items() if abs(pair[0] - pair[1]) > 1e-5}


wrong = differing(3)
assert not differing(4), "even shards too"
assert "square().mean()" not in wrong, "mean() too"
print(json.dumps({
    "torch": torch.__version__,
    "state": "live" if wrong else "fixed",
    "evidence": "3 rows over 2 ranks: "
    + ("; ".join(f"{n} {got:.4f}, expected {right:.4f}" for n, (got, right) in wrong.items())
       or "all right"),
}))
