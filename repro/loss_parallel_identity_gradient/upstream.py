"""pytorch#190746 on the torch at hand: the gradient of a weighted sum of logprobs, whose vocabulary
two ranks share, inside loss_parallel() and outside. Cross entropy, for which loss_parallel() was
made, is the control. No second process and no GPU."""

import json

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.distributed._local_tensor import LocalTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import loss_parallel
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
torch.manual_seed(0)
logits, weights = torch.randn(2, 3, 8)
target = torch.tensor([2, 0, 7])


def weighted(x, w):
    return (x.log_softmax(-1) * w).sum()


def gradient(loss, x):
    x = x.requires_grad_()
    return torch.autograd.grad(loss(x), x)[0]


def sharded_gradient(loss, within):
    """`loss` is given logits, weights and target of DTensors."""
    with LocalTensorMode(2):
        mesh = init_device_mesh("cpu", (2,))
        w = distribute_tensor(weights, mesh, [Shard(1)])
        t = distribute_tensor(target, mesh, [Replicate()])
        x = distribute_tensor(logits, mesh, [Shard(1)])
        if within:
            with loss_parallel():
                found = gradient(lambda x: loss(x, w, t), x)
        else:
            found = gradient(lambda x: loss(x, w, t), x)
        return found.full_tensor().reconcile()


def gap(a, b):
    return f"{(a - b).abs().max().item():.2g}"


expected = gradient(lambda x: weighted(x, weights), logits.clone())
inside = sharded_gradient(lambda x, w, t: weighted(x, w), within=True)
outside = sharded_gradient(lambda x, w, t: weighted(x, w), within=False)
control = sharded_gradient(lambda x, w, t: F.cross_entropy(x, t), within=True)
right = gradient(lambda x: F.cross_entropy(x, target), logits.clone())
assert torch.allclose(outside, expected, atol=1e-6), "outside of loss_parallel() too"
assert torch.allclose(control, right, atol=1e-6), "cross entropy too"

if torch.allclose(inside, expected, atol=1e-6):
    state = "fixed"
else:
    state = "live" if torch.equal(inside, weights) else "changed"
print(json.dumps({
    "torch": torch.__version__,
    "state": state,
    "evidence": "gradient of (log_softmax(x) * w).sum(), largest gap to the plain one: inside "
    f"loss_parallel() {gap(inside, expected)}, to w itself {gap(inside, weights)}, outside "
    f"{gap(outside, expected)}; of cross entropy inside {gap(control, right)}",
}))
