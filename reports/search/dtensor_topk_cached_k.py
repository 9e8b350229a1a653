"""DTensor: topk, histc and view(dtype) take the shape of their result from an earlier call with
another k, number of bins or dtype. No second process and no GPU."""

import json

import torch
import torch.distributed as dist
from torch.distributed._local_tensor import LocalTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
plain = torch.arange(12.0).view(3, 4)

with LocalTensorMode(2):
    mesh = init_device_mesh("cpu", (2,))
    x = distribute_tensor(plain, mesh, [Shard(0)])
    first = x.topk(1).values  # the control: nothing is cached yet
    assert first.shape == (3, 1) and first.full_tensor().shape == (3, 1)
    top = x.topk(3).values
    found = {
        "topk(3).values.shape": (tuple(top.shape), (3, 3)),
        "topk(3).values[:, :2]": (tuple(top[:, :2].full_tensor().shape), (3, 2)),
        "topk(3).values, redistributed to Shard(1) and gathered": (
            tuple(top.redistribute(mesh, [Shard(1)]).full_tensor().shape),
            (3, 3),
        ),
    }
    replicated = distribute_tensor(plain, mesh, [Replicate()])
    replicated.histc(2, 0, 12)
    found["histc(5).shape, after histc(2)"] = (tuple(replicated.histc(5, 0, 12).shape), (5,))
    x.view(torch.int32)
    found["view(int16).shape, after view(int32)"] = (tuple(x.view(torch.int16).shape), (3, 8))

wrong = [f"{what}: {got}, expected {right}" for what, (got, right) in found.items() if got != right]
print(json.dumps({
    "torch": torch.__version__,
    "state": "live" if wrong else "fixed",
    "evidence": "after topk(1): " + ("; ".join(wrong) or "the shapes are those of the call"),
}))
