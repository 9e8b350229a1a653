"""DTensor: a reduction over all dimensions that keeps them, amax(keepdim=True) or sum((),
keepdim=True), is each rank's own. No second process and no GPU."""

import json

import torch
import torch.distributed as dist
from torch.distributed._local_tensor import LocalTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
plain = torch.arange(1.0, 9.0).view(4, 2)
CALLS = {
    "amax(keepdim=True)": lambda x: x.amax(keepdim=True),
    "sum((), keepdim=True)": lambda x: x.sum((), keepdim=True),
    "mean((), keepdim=True)": lambda x: x.mean((), keepdim=True),
    "var((), keepdim=True)": lambda x: x.var((), keepdim=True),
    "amax()": lambda x: x.amax(),  # the controls
    "sum((0, 1), keepdim=True)": lambda x: x.sum((0, 1), keepdim=True),
}


def inf_norm_gradient(x):
    return torch.autograd.grad(x.norm(float("inf")), x)[0]


wrong = {}
with LocalTensorMode(2):
    mesh = init_device_mesh("cpu", (2,))
    for name, call in CALLS.items():
        got = call(distribute_tensor(plain, mesh, [Shard(0)])).full_tensor().reconcile()
        expected = call(plain)
        if not torch.allclose(got, expected):
            wrong[name] = f"{got.tolist()}, expected {expected.tolist()}"
    x = distribute_tensor(plain, mesh, [Shard(0)]).requires_grad_()
    gradient = inf_norm_gradient(x).full_tensor()._local_tensors[0]
if not torch.equal(gradient, inf_norm_gradient(plain.clone().requires_grad_())):
    wrong['gradient of norm(float("inf"))'] = f"{gradient.flatten().tolist()}"

assert not wrong.keys() & {"amax()", "sum((0, 1), keepdim=True)"}, "the controls too"
print(json.dumps({
    "torch": torch.__version__,
    "state": "live" if wrong else "fixed",
    "evidence": "[4, 2] Shard(0) over 2 ranks: "
    + ("; ".join(f"{name} {what}" for name, what in wrong.items()) or "all right"),
}))
