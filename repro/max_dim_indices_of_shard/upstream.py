"""pytorch#168940 and its kin on the torch at hand, with no second process and no GPU: reductions
that are not sums, of a tensor that is sharded in the reduced dimension."""

import json

import torch
import torch.distributed as dist
from torch.distributed._local_tensor import LocalTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.testing._internal.distributed.fake_pg import FakeStore

dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
mesh = init_device_mesh("cpu", (2,))

CASES = {
    "max(dim=1).indices": (torch.tensor([[10, 5, 3, 8]]), 1, lambda x: x.max(dim=1).indices),
    "min(dim=1).indices": (torch.tensor([[5, 10, 8, 3]]), 1, lambda x: x.min(dim=1).indices),
    "argmax(dim=1)": (torch.tensor([[10, 5, 3, 8]]), 1, lambda x: x.argmax(dim=1)),
    "mean of 3 x 4": (torch.arange(12.0).view(3, 4), 0, lambda x: x.mean()),
    "mean of 1 x 4": (torch.arange(4.0).view(1, 4), 0, lambda x: x.mean()),
    "sum + 10": (torch.arange(11), 0, lambda x: x.sum() + 10),
}


def result(plain, dim, function):
    with LocalTensorMode(2):
        whole = function(distribute_tensor(plain, mesh, [Shard(dim)])).full_tensor()
        return whole.reconcile().tolist()


found = {name: (result(*case), case[2](case[0]).tolist()) for name, case in CASES.items()}
wrong = [f"{name}: {got}, expected {truth}" for name, (got, truth) in found.items() if got != truth]
right = [f"{name}: {got}" for name, (got, _) in found.items()]
print(json.dumps({
    "torch": torch.__version__,
    "state": "live" if wrong else "fixed",
    "evidence": "; ".join(wrong or right),
}))
