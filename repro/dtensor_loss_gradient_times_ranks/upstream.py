"""DTensor: the gradient of a loss with reduction="mean" is n times too large where n ranks share
the input, evenly. No second process and no GPU."""

import json

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.distributed._local_tensor import LocalTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=4, store=FakeStore())
plain = torch.arange(1.0, 9.0)
LOSSES = {
    "mse_loss": lambda x: F.mse_loss(x, torch.zeros_like(x)),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, torch.zeros_like(x)),
    "huber_loss": lambda x: F.huber_loss(x, torch.zeros_like(x)),
    "soft_margin_loss": lambda x: F.soft_margin_loss(x, torch.ones_like(x)),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x / 9, torch.ones_like(x)),
    "square().mean()": lambda x: x.square().mean(),  # the controls
    "mse_loss of sums": lambda x: F.mse_loss(x, torch.zeros_like(x), reduction="sum"),
}


def loss_and_gradient(loss, x):
    x = x.requires_grad_()
    value = loss(x)
    return value.detach(), torch.autograd.grad(value, x)[0]


wrong = {}
for name, loss in LOSSES.items():
    expected, expected_gradient = loss_and_gradient(loss, plain.clone())
    with LocalTensorMode(4):
        x = distribute_tensor(plain, init_device_mesh("cpu", (4,)), [Shard(0)])
        value, gradient = (t.full_tensor().reconcile() for t in loss_and_gradient(loss, x))
    assert torch.allclose(value, expected), f"{name}: the loss itself is wrong"
    if not torch.allclose(gradient, expected_gradient):
        wrong[name] = (gradient / expected_gradient)[-1].item()

assert not wrong.keys() & {"square().mean()", "mse_loss of sums"}, "the controls too"
print(json.dumps({
    "torch": torch.__version__,
    "state": "live" if wrong else "fixed",
    "evidence": "8 elements over 4 ranks, gradient as a multiple of the right one: "
    + "; ".join(f"{name} {ratio:g}" for name, ratio in wrong.items())
    if wrong
    else "every gradient is that of the plain tensor",
}))
